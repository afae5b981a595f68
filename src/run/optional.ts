import { StoplineError } from '../errors.ts';

/**
 * Loads a package that is installed only where it is wanted.
 * @throws {StoplineError} PACKAGE_MISSING
 */
export async function loadPackage<Module>(name: string, importIt: () => Promise<Module>): Promise<Module> {
  return importIt().catch((cause) => {
    throw new StoplineError(
      'PACKAGE_MISSING',
      `Expected the package ${name}, which is installed only where it is wanted. Install it: npm install ${name}`,
      { cause },
    );
  });
}
