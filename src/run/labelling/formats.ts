import { decisions, describeCause, evidenceKinds, type LabelImage, verdicts } from './tags.ts';

/** Formats of labelling tools, as `export` writes and `profile accept` reads them. */
export const labelFormats = ['jsonl', 'coco', 'label-studio', 'cvat', 'fiftyone'] as const;
export type LabelFormat = (typeof labelFormats)[number];

/** Who vouches for the verdicts: a Profile has a name, and is one of many of that name. */
export interface LabelOrigin {
  /** Of the data set in the tool. */
  name: string;
  /** Version of Stopline. */
  version: string;
}

/** A file of one of the formats, with all of its images. */
export function formatLabels(format: LabelFormat, images: readonly LabelImage[], origin: LabelOrigin): string {
  switch (format) {
    case 'jsonl':
      return images.map((image) => `${JSON.stringify(asLine(image))}\n`).join('');
    case 'coco':
      return `${JSON.stringify(asCoco(images, origin))}\n`;
    case 'label-studio':
      return `${JSON.stringify(images.map((image, i) => asTask(image, i, origin)))}\n`;
    case 'cvat':
      return asCvat(images, origin);
    case 'fiftyone':
      return `${JSON.stringify(asFiftyOne(images, origin))}\n`;
  }
}

/** One object a line; whoever labels adds `label`. */
function asLine({ row, name, tags, boxes }: LabelImage) {
  const { verdict, pValue, score, reasons, cause, source, at, image } = row;
  return {
    path: row.path,
    image: name,
    label: null,
    ...{ verdict, pValue, score },
    ...(row.expectedFlipRate && { expectedFlipRate: row.expectedFlipRate.rate }),
    ...(cause && { cause: cause.text }),
    reasons: reasons.map(({ text }) => text),
    tags,
    ...(source !== undefined && { source }),
    ...(at !== undefined && { at }),
    width: image.width,
    height: image.height,
    ...(boxes.length > 0 && { evidence: boxes }),
  };
}

/**
 * COCO object detection (https://cocodataset.org/#format-data). A label of a whole image is a box around all of it, as it has no other
 * place there; what else is known stands in `attributes`, as CVAT and Datumaro read them.
 */
function asCoco(images: readonly LabelImage[], { name, version }: LabelOrigin) {
  const names = [...decisions, ...verdicts, ...evidenceKinds];
  const findId = (category: (typeof names)[number]) => names.indexOf(category) + 1;
  const group = (i: number) =>
    i < decisions.length ? 'decision' : i < decisions.length + verdicts.length ? 'verdict' : 'evidence';
  const annotations = images.flatMap(({ row, tags, boxes }, i) => {
    const { verdict, pValue, score, image, expectedFlipRate } = row;
    const whole = {
      category_id: findId(verdict),
      bbox: [0, 0, image.width, image.height],
      score: 1 - pValue,
      attributes: {
        ...{ pValue, strangeness: score, cause: describeCause(row), tags: tags.join(' ') },
        ...(expectedFlipRate && { expectedFlipRate: expectedFlipRate.rate }),
      },
    };
    const parts = boxes.map(({ kind, left, top, width, height }) => ({
      category_id: findId(kind),
      bbox: [left, top, width, height],
    }));
    return [whole, ...parts].map((part) => ({ ...part, image_id: i + 1 }));
  });
  return {
    info: { description: name, version, contributor: 'stopline' },
    licenses: [],
    categories: names.map((category, i) => ({ id: i + 1, name: category, supercategory: group(i) })),
    images: images.map(({ name: file_name, row: { image } }, i) => ({
      ...{ id: i + 1, file_name, width: image.width, height: image.height },
    })),
    annotations: annotations.map((annotation, i) => ({
      ...annotation,
      id: i + 1,
      area: annotation.bbox[2] * annotation.bbox[3],
      iscrowd: 0,
      segmentation: [],
    })),
  };
}

/** The labelling interface that the tasks of `label-studio` are for. */
export const labelStudioConfig = `<View>
  <Header value="$verdict: $cause"/>
  <Image name="image" value="$image"/>
  <Choices name="label" toName="image" choice="single" required="true">
${decisions.map((value) => `    <Choice value="${value}"/>`).join('\n')}
  </Choices>
  <Choices name="verdict" toName="image" choice="single">
${verdicts.map((value) => `    <Choice value="${value}"/>`).join('\n')}
  </Choices>
  <RectangleLabels name="evidence" toName="image">
${evidenceKinds.map((value) => `    <Label value="${value}"/>`).join('\n')}
  </RectangleLabels>
</View>
`;

/** A task of Label Studio with a prediction (https://labelstud.io/guide/predictions); boxes are in percent of the image. */
function asTask({ row, name, tags, boxes }: LabelImage, index: number, { version }: LabelOrigin) {
  const { verdict, pValue, score, expectedFlipRate, reasons, source } = row;
  const { width: original_width, height: original_height } = row.image;
  const about = { to_name: 'image', original_width, original_height, image_rotation: 0 };
  const percent = (length: number, whole: number) => Number(((100 * length) / whole).toFixed(4));
  return {
    id: index + 1,
    data: {
      ...{ image: name, path: row.path, verdict, cause: describeCause(row), pValue, score, tags },
      reasons: reasons.map(({ text }) => text).join(' '),
      ...(expectedFlipRate && { expectedFlipRate: expectedFlipRate.rate }),
      ...(source !== undefined && { source }),
    },
    predictions: [
      {
        model_version: `stopline ${version}`,
        score: 1 - pValue,
        result: [
          { ...about, id: 'verdict', from_name: 'verdict', type: 'choices', value: { choices: [verdict] } },
          ...boxes.map(({ kind, left, top, width, height }, i) => ({
            ...about,
            id: `evidence-${i}`,
            from_name: 'evidence',
            type: 'rectanglelabels',
            value: {
              x: percent(left, original_width),
              y: percent(top, original_height),
              width: percent(width, original_width),
              height: percent(height, original_height),
              rotation: 0,
              rectanglelabels: [kind],
            },
          })),
        ],
      },
    ],
  };
}

/** CVAT for images 1.1 (https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/). */
function asCvat(images: readonly LabelImage[], { name }: LabelOrigin): string {
  const label = (text: string, type: 'tag' | 'rectangle', attributes = '') =>
    `        <label><name>${text}</name><type>${type}</type><attributes>${attributes}</attributes></label>`;
  const attribute = (text: string) =>
    `<attribute><name>${text}</name><mutable>False</mutable><input_type>text</input_type><default_value></default_value><values></values></attribute>`;
  const known = ['pValue', 'score', 'cause', 'tags'] as const;
  const labels = [
    ...decisions.map((text) => label(text, 'tag')),
    ...verdicts.map((text) => label(text, 'tag', known.map(attribute).join(''))),
    ...evidenceKinds.map((text) => label(text, 'rectangle')),
  ];
  const parts = images.map(({ name: file, row, tags, boxes }, i) => {
    const values = { pValue: row.pValue, score: row.score, cause: describeCause(row), tags: tags.join(' ') };
    const cells = known.map((key) => `      <attribute name="${key}">${escapeXml(String(values[key]))}</attribute>`);
    const places = boxes.map(({ kind, left, top, width, height }) => {
      const corners = `xtl="${left.toFixed(2)}" ytl="${top.toFixed(2)}" xbr="${(left + width).toFixed(2)}" ybr="${(top + height).toFixed(2)}"`;
      return `    <box label="${kind}" source="file" occluded="0" ${corners} z_order="0"></box>`;
    });
    const { width, height } = row.image;
    return [
      `  <image id="${i}" name="${escapeXml(file)}" width="${width}" height="${height}">`,
      `    <tag label="${row.verdict}" source="file">`,
      ...cells,
      '    </tag>',
      ...places,
      '  </image>',
    ].join('\n');
  });
  return `<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <name>${escapeXml(name)}</name>
      <size>${images.length}</size>
      <mode>annotation</mode>
      <labels>
${labels.join('\n')}
      </labels>
    </task>
  </meta>
${parts.join('\n')}
</annotations>
`;
}

/** Also without the characters that XML 1.0 cannot hold at all. */
function escapeXml(text: string): string {
  const signs: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text
    .replace(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, '\ufffd')
    .replace(/[&<>"]/g, (sign) => signs[sign]);
}

const fields = 'fiftyone.core.fields';
const labelClasses = 'fiftyone.core.labels';

/** What `fiftyone.Dataset.from_json` reads: a data set as `write_json` writes it. */
function asFiftyOne(images: readonly LabelImage[], { name, version }: LabelOrigin) {
  return {
    name,
    media_type: 'image',
    sample_fields: {
      filepath: `${fields}.StringField`,
      tags: `${fields}.ListField(${fields}.StringField)`,
      metadata: `${fields}.EmbeddedDocumentField(fiftyone.core.metadata.Metadata)`,
      verdict: `${fields}.EmbeddedDocumentField(${labelClasses}.Classification)`,
      evidence: `${fields}.EmbeddedDocumentField(${labelClasses}.Detections)`,
      cause: `${fields}.StringField`,
      p_value: `${fields}.FloatField`,
      score: `${fields}.FloatField`,
      expected_flip_rate: `${fields}.FloatField`,
    },
    info: { stopline: version },
    samples: images.map(({ row, location, tags, boxes }) => {
      const { width, height } = row.image;
      return {
        filepath: location,
        tags,
        metadata: { _cls: 'ImageMetadata', width, height },
        _media_type: 'image',
        verdict: { _cls: 'Classification', tags: [], label: row.verdict, confidence: 1 - row.pValue },
        evidence: {
          _cls: 'Detections',
          detections: boxes.map((box) => ({
            _cls: 'Detection',
            tags: [],
            attributes: {},
            label: box.kind,
            bounding_box: [box.left / width, box.top / height, box.width / width, box.height / height],
          })),
        },
        cause: describeCause(row),
        p_value: row.pValue,
        score: row.score,
        expected_flip_rate: row.expectedFlipRate?.rate ?? null,
      };
    }),
  };
}
