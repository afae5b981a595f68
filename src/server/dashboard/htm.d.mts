// The service serves `htm` from its package beside these pages.
export { default } from 'htm';
