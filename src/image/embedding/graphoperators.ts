/**
 * Operators of TensorFlow that are run: what `@tensorflow/tfjs-converter` knows and the WebAssembly backend has kernels for,
 * less loops, lists, tables, text, and what gives another answer each time; Einsum is our own (einsum.ts). A test compares it with
 * those packages.
 */
export const graphOperators: ReadonlySet<string> = new Set(
  [
    'Placeholder PlaceholderWithDefault Const Identity IdentityN Snapshot StopGradient EnsureShape NoOp',
    'FakeQuantWithMinMaxVars Rank Size Shape ShapeN Cast Fill LinSpace OneHot Ones OnesLike Range Zeros ZerosLike',
    // Arithmetic.
    'Add AddV2 AddN BiasAdd Sub RealDiv Div DivNoNan FloorDiv Mul Maximum Minimum Pow SquaredDifference Mod FloorMod',
    'Abs Acos Asin Atan Atan2 Ceil ClipByValue Cos Cosh Elu Exp Floor Log Neg Prelu Relu Relu6 Selu Sigmoid Sin Sinh',
    'Sqrt Rsqrt Square Tan Tanh Sign Round Expm1 Log1p Reciprocal Softplus Asinh Acosh Atanh Erf LeakyRelu IsNan',
    'IsFinite IsInf Equal NotEqual Greater GreaterEqual Less LessEqual LogicalAnd LogicalNot LogicalOr Select SelectV2',
    // Networks.
    'AvgPool MaxPool MaxPoolWithArgmax AvgPool3D MaxPool3D Conv1D Conv2D _FusedConv2D Conv2DBackpropInput',
    'DepthwiseConv2d DepthwiseConv2dNative FusedDepthwiseConv2dNative Conv3D Dilation2D _FusedMatMul MatMul BatchMatMul',
    'BatchMatMulV2 Einsum Transpose EuclideanNorm FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 LRN Softmax LogSoftmax',
    'Max Mean Min Sum All Any ArgMax ArgMin Prod Cumprod Cumsum',
    // Shapes and arrays.
    'ConcatV2 Concat GatherV2 Gather Reverse ReverseV2 Slice StridedSlice Pack Unpack Tile Split SplitV ScatterNd',
    'GatherNd TensorScatterUpdate ExpandDims MirrorPad Pad PadV2 Reshape Squeeze SpaceToBatchND BatchToSpaceND',
    'DepthToSpace BroadcastTo BroadcastArgs SparseToDense Bincount DenseBincount Unique UniqueV2 BitwiseAnd',
    // Pixels and boxes.
    'ResizeBilinear ResizeNearestNeighbor CropAndResize ImageProjectiveTransformV3 TopKV2 Where NonMaxSuppressionV2',
    'NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5',
  ].flatMap((line) => line.split(' ')),
);

/** Those that find as many things as there are, which TensorFlow.js only runs asynchronously. */
export const openEnded = /^(NonMaxSuppressionV\d|Where)$/;
