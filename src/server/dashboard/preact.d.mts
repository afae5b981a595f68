// The service serves `preact` from its package beside these pages.
export * from 'preact';
