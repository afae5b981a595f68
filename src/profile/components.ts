import type { EmbeddingPart } from '../image/embedding/embedder.ts';

/** Names of the components of a Profile in their order, of which the categorical one is the last. */
export function componentNames({
  hasCauses,
  parts,
  hasPlaces = false,
}: {
  hasCauses: boolean;
  hasPlaces?: boolean;
  /** Parts of the embedding; absent without a model. */
  parts?: readonly Pick<EmbeddingPart, 'kind'>[] | undefined;
}): string[] {
  const hasEarly = parts?.some(({ kind }) => kind !== 'content');
  return [
    'distance',
    ...(hasCauses ? ['causeSpace', 'causeOdds'] : []),
    ...(parts ? ['embeddingDistance', 'embeddingNeighbours'] : []),
    ...(hasEarly ? ['embeddingEarly'] : []),
    ...(hasPlaces ? ['places'] : []),
    'categories',
  ];
}
