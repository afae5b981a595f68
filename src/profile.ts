/** What the reference population looks like. The full schema is below. */
export interface Profile {
  name: string;
  sha256: string;
}
