/** How the search of the site ranks what it finds. The function goes into the page as text, so it needs nothing from here. */
export const searchOptions = {
  fuzzy: 0.2,
  prefix: true,
  boost: { title: 4, text: 2, titles: 2 },
  /** Pages that say how something is done come before tables and signatures in which the word stands, too. */
  boostDocument(id) {
    if (/^\/(library|commands|settings|statistics|detection|forms|http|architecture|threat-model)/.test(id)) return 0.5;
    return /^\/tutorial#where-to-go/.test(id) ? 0.3 : 1;
  },
};
