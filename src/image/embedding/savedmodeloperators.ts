/**
 * What the graphs of image networks are made of, with what Keras puts beside them to save and restore variables. It is a list
 * of what is let through: an operator that is not on it may reach files, sockets or Python. Names are those of TensorFlow's
 * core/ops.
 */
export const savedModelOperators: ReadonlySet<string> = new Set(
  [
    // Graph, functions, control flow.
    'Placeholder PlaceholderWithDefault Const NoOp Identity IdentityN StopGradient PreventGradient Snapshot EnsureShape',
    'PartitionedCall StatefulPartitionedCall If StatelessIf While StatelessWhile Case StatelessCase Switch Merge Enter Exit',
    'NextIteration LoopCond Assert CheckNumerics _Arg _Retval _DeviceArg _DeviceRetval',
    // Variables, and the checkpoint of this very model.
    'VarHandleOp ReadVariableOp AssignVariableOp AssignAddVariableOp AssignSubVariableOp VarIsInitializedOp VariableV2',
    'Variable Assign DestroyResourceOp VariableShape SaveV2 RestoreV2 ShardedFilename MergeV2Checkpoints StringJoin',
    'StaticRegexFullMatch',
    // Shapes and arrays.
    'Shape ShapeN Size Rank Reshape Squeeze ExpandDims Concat ConcatV2 ConcatOffset Pack Unpack Split SplitV Slice',
    'StridedSlice Gather GatherV2 GatherNd ScatterNd TensorScatterUpdate Tile Transpose InvertPermutation Reverse',
    'ReverseV2 Pad PadV2 MirrorPad Fill Range LinSpace ZerosLike OnesLike OneHot BroadcastTo BroadcastArgs Where Select',
    'SelectV2 BooleanMask Unique UniqueV2 DepthToSpace SpaceToDepth BatchToSpaceND SpaceToBatchND MatrixDiag MatrixDiagV3',
    'MatrixBandPart Roll DynamicStitch Bitcast Cast TopK TopKV2 Bucketize SearchSorted',
    // Arithmetic.
    'Add AddV2 AddN AccumulateNV2 Sub Mul MulNoNan Div DivNoNan RealDiv FloorDiv TruncateDiv FloorMod Mod Pow Square',
    'SquaredDifference Sqrt Rsqrt Exp Expm1 Log Log1p Abs Neg Sign Reciprocal Inv Maximum Minimum Floor Ceil Round Rint',
    'Sin Cos Tan Asin Acos Atan Atan2 Sinh Cosh Tanh Erf Erfc ClipByValue IsNan IsInf IsFinite MatMul BatchMatMul',
    'BatchMatMulV2 BatchMatMulV3 Einsum Sum Mean Prod Max Min All Any ArgMax ArgMin Cumsum Cumprod L2Loss Greater',
    'GreaterEqual Less LessEqual Equal NotEqual ApproximateEqual LogicalAnd LogicalOr LogicalNot SegmentSum',
    'UnsortedSegmentSum UnsortedSegmentMax EuclideanNorm',
    // Networks.
    'Conv2D Conv3D DepthwiseConv2dNative Conv2DBackpropInput Dilation2D BiasAdd BiasAddV1 FusedBatchNorm FusedBatchNormV2',
    'FusedBatchNormV3 MaxPool MaxPoolV2 MaxPool3D AvgPool AvgPool3D Relu Relu6 Elu Selu LeakyRelu Softplus Softsign',
    'Sigmoid Softmax LogSoftmax LRN _FusedConv2D _FusedMatMul _FusedBatchNormEx FusedDepthwiseConv2dNative',
    'SoftmaxCrossEntropyWithLogits SparseSoftmaxCrossEntropyWithLogits',
    'QuantizeV2 Dequantize QuantizeAndDequantizeV2 QuantizeAndDequantizeV4 FakeQuantWithMinMaxArgs',
    'FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel',
    // Pixels.
    'ResizeBilinear ResizeNearestNeighbor ResizeBicubic ResizeArea CropAndResize ScaleAndTranslate ExtractImagePatches',
    'ImageProjectiveTransformV2 ImageProjectiveTransformV3 RGBToHSV HSVToRGB AdjustContrastv2 AdjustHue AdjustSaturation',
    'NonMaxSuppression NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5',
    'CombinedNonMaxSuppression',
    // Layers that act only in training, such as dropout and augmentation: in the graph, not in what is run.
    'RandomUniform RandomUniformInt RandomStandardNormal TruncatedNormal StatelessRandomUniform StatelessRandomUniformV2',
    'StatelessRandomUniformInt StatelessRandomUniformIntV2 StatelessRandomNormal StatelessRandomNormalV2',
    'StatelessRandomUniformFullIntV2 StatelessRandomGetKeyCounter StatelessRandomGetAlg RngReadAndSkip',
    // Lists that loops build up.
    'TensorListReserve TensorListFromTensor TensorListStack TensorListSetItem TensorListGetItem TensorListLength',
    'TensorListElementShape TensorListPushBack TensorListPopBack EmptyTensorList TensorListConcatV2',
  ].flatMap((line) => line.split(' ')),
);
