"""Writes a trained network as ONNX, or one of random weights for comparison.

/usr/bin/python3 models/train/export.py OUT.pt models/default.onnx
/usr/bin/python3 models/train/export.py random:1 /tmp/random.onnx
"""
import sys

import onnx
import torch

from network import Network

source, target = sys.argv[1:3]
if source.startswith('random:'):
    torch.manual_seed(int(source[7:]))
    network = Network()
    # As in training, every layer's answers have mean 0 and deviation 1 before its ReLU, on noise.
    with torch.no_grad():
        for _ in range(200):
            network.train()
            network(torch.nn.functional.interpolate(torch.randn(16, 3, 16, 16), size=128, mode='bilinear') * 1.5)
else:
    network = Network()
    network.load_state_dict(torch.load(source, map_location='cpu')['network'])
network.eval()
names = ['embedding', 'stage4', 'stage8', 'stage16']
torch.onnx.export(network, torch.zeros(1, 3, 128, 128), target, opset_version=13, input_names=['image'], output_names=names,
                  dynamic_axes={name: {0: 'batch'} for name in ['image', *names]})
model = onnx.load(target)
model.producer_name, model.producer_version = 'stopline', ''
onnx.checker.check_model(model)
onnx.save(model, target)
