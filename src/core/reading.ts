/** A frame of more pixels than this is read in parts (bands.h), */
export const wholePixels = 741_455;
/** by this rule. Numbers that were measured by another one are a little different for such frames, and for no others. */
export const readingRule = '16 rows of 256 columns, by the plastic number';
