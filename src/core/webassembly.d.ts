// The part of the WebAssembly API that the core uses. TypeScript declares it only with the browser's whole DOM, and
// @types/node not at all.
declare namespace WebAssembly {
  function compile(bytes: Uint8Array): Promise<Module>;
  class Module {
    constructor(bytes: Uint8Array);
    static imports(module: Module): { module: string; name: string; kind: string }[];
  }
  class Instance {
    constructor(module: Module);
    readonly exports: object;
  }
  interface Memory {
    readonly buffer: ArrayBuffer;
    /** @returns the size before, in pages of 65,536 bytes */
    grow(pages: number): number;
  }
  interface Global {
    readonly value: number;
  }
}
