"""Generated images for training, and crops of the few real ones whose licence allows it.

/usr/bin/python3 models/train/generate.py CACHE FAMILY COUNT [SEED]
/usr/bin/python3 models/train/generate.py CACHE real SHARED_DATA

Families: fractal (iterated function systems, Kataoka et al. 2020), leaves (dead leaves), conv (untrained convolutional
generators) and spectrum (noise of a power law) after Baradad et al. 2021; cppn (random networks of the coordinates),
pattern (bricks, stripes and grids in perspective), object (one shaded thing before a background), scene (sky, ground and
things that shrink with distance). Each image is SIDE x SIDE RGB; a file is these one after the other.
"""
import glob
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFilter

SIDE = 144
torch.set_num_threads(1)


def resized(array, side=SIDE):
    return np.asarray(Image.fromarray(array).resize((side, side), Image.BICUBIC))


def powerNoise(rng, side, channels=3, exponent=None):
    """Noise whose amplitude falls with a power of the frequency, 0 to 1."""
    exponent = rng.uniform(0.6, 2.2) if exponent is None else exponent
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    stretch = np.exp(rng.normal(0, 0.5))
    amplitude = 1 / np.maximum(1 / side, np.hypot(fx * stretch, fy / stretch)) ** exponent
    phase = rng.normal(size=(channels, side, side // 2 + 1)) + 1j * rng.normal(size=(channels, side, side // 2 + 1))
    noise = np.fft.irfft2(amplitude * phase, s=(side, side))
    noise -= noise.mean((1, 2), keepdims=True)
    noise /= noise.std((1, 2), keepdims=True) + 1e-9
    if channels == 3:  # colours of real surfaces go together
        noise = np.einsum('ij,jyx->iyx', np.eye(3) * rng.uniform(0.1, 0.8) + rng.normal(0.5, 0.25, (3, 1)) * np.eye(3)[0], noise)
        noise += noise[:1] * rng.uniform(0, 1)
    return noise.transpose(1, 2, 0)


def colour(rng):
    grey = rng.uniform(0.05, 0.95)
    return np.clip(grey + rng.normal(0, rng.choice([0.04, 0.12, 0.3]), 3), 0, 1)


def texture(rng, side=SIDE):
    """A surface: noise of its own contrast about its own colour, 0 to 1."""
    contrast = rng.uniform(0.01, 0.16)
    return np.clip(colour(rng) + contrast * powerNoise(rng, side), 0, 1)


def to8(array):
    return (np.clip(array, 0, 1) * 255 + 0.5).astype(np.uint8)


def outline(rng, centre, radius):
    """A closed polygon: superformula, star, box or blob."""
    kind = rng.integers(5)
    turn = rng.uniform(0, 2 * np.pi)
    if kind == 0:
        aspect = np.exp(rng.normal(0, 0.5))
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [aspect**0.5, aspect**-0.5] * radius * 0.8
        turn = rng.choice([0, 0, turn])
        c, s = np.cos(turn), np.sin(turn)
        return [tuple(p) for p in corners @ np.array([[c, s], [-s, c]]) + centre]
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    if kind == 1:
        r = np.full(40, 1.0)
    elif kind == 2:
        m, n1, n2 = rng.integers(2, 9), rng.uniform(0.4, 4), rng.uniform(0.5, 6)
        r = (np.abs(np.cos(m * t / 4)) ** n2 + np.abs(np.sin(m * t / 4)) ** n2) ** (-1 / n1)
        r = r / r.max()
    elif kind == 3:
        spikes = rng.integers(3, 8)
        r = 0.75 + 0.25 * np.sign(np.sin(spikes * t)) * rng.uniform(0.3, 1)
    else:
        r = 0.75 + sum(rng.normal(0, 0.25 / k) * np.cos(k * t + rng.uniform(0, 6)) for k in range(1, 6))
    squash = np.exp(rng.normal(0, 0.35))
    x, y = radius * r * np.cos(t + turn) * squash**0.5, radius * r * np.sin(t + turn) * squash**-0.5
    return [(centre[0] + a, centre[1] + b) for a, b in zip(x, y)]


def lit(rng, surface):
    """A slow change of light over a surface, mostly from above."""
    side = surface.shape[0]
    angle = rng.normal(-np.pi / 2, 0.7)
    yy, xx = np.mgrid[-1:1:side * 1j, -1:1:side * 1j]
    return np.clip(surface * (1 + rng.uniform(0, 0.5) * (np.cos(angle) * xx + np.sin(angle) * yy))[..., None], 0, 1)


def leaves(rng):
    side = 192
    canvas = Image.fromarray(to8(texture(rng, side)))
    textures = [Image.fromarray(to8(lit(rng, texture(rng, side)))) for _ in range(rng.integers(3, 9))]
    radius = side * rng.uniform(0.25, 0.6)
    smallest = rng.uniform(2, 9)
    count = rng.integers(20, 140)
    isPlain = rng.random() < 0.4
    for i in range(count):
        u = rng.random()
        size = (smallest**-1 + (radius**-1 - smallest**-1) * u) ** -1 * (1 if rng.random() < 0.7 else 2)
        points = outline(rng, rng.uniform(0, side, 2), size)
        mask = Image.new('L', canvas.size)
        ImageDraw.Draw(mask).polygon(points, fill=255)
        fill = Image.new('RGB', canvas.size, tuple(int(c * 255) for c in colour(rng))) if isPlain else textures[rng.integers(len(textures))]
        canvas.paste(fill, (0, 0), mask)
    return resized(np.asarray(canvas))


def fractal(rng):
    """Points of a random iterated function system, all walked at once."""
    count = rng.integers(2, 8)
    maps = rng.uniform(-1, 1, (count, 2, 2))
    singular = np.linalg.svd(maps)
    maps = np.einsum('nij,nj,njk->nik', singular[0], rng.uniform(0.2, 0.95, (count, 2)), singular[2])
    shifts = rng.uniform(-1, 1, (count, 2))
    weights = np.abs(np.linalg.det(maps)) + 0.02
    points = np.zeros((3000, 2))
    choices = rng.choice(count, (36, 3000), p=weights / weights.sum())
    density = np.zeros((SIDE, SIDE))
    tints = rng.uniform(0.2, 1, (count, 3)) if rng.random() < 0.7 else np.ones((count, 3)) * colour(rng)
    image = np.zeros((SIDE, SIDE, 3))
    kept, chosen = [], []
    for step, choice in enumerate(choices):
        points = np.einsum('nij,nj->ni', maps[choice], points) + shifts[choice]
        if step >= 12:
            kept.append(points.copy())
            chosen.append(choice)
    kept, chosen = np.concatenate(kept), np.concatenate(chosen)
    low, high = np.percentile(kept, [1, 99], axis=0)
    at = ((kept - low) / np.maximum(high - low, 1e-6) * 0.86 + 0.07) * SIDE
    ok = np.all((at >= 0) & (at < SIDE), axis=1)
    x, y = at[ok].astype(int).T
    flat = y * SIDE + x
    density = np.bincount(flat, minlength=SIDE * SIDE).reshape(SIDE, SIDE)
    for c in range(3):
        image[..., c] = np.bincount(flat, weights=tints[chosen[ok], c], minlength=SIDE * SIDE).reshape(SIDE, SIDE)
    image /= np.maximum(density, 1)[..., None]
    cover = np.clip(np.log1p(density) / np.log1p(np.percentile(density[density > 0], 80)), 0, 1)[..., None]
    ground = texture(rng) if rng.random() < 0.7 else np.zeros((SIDE, SIDE, 3)) + colour(rng)
    return to8(ground * (1 - cover) + image * cover)


def cppn(rng):
    yy, xx = np.mgrid[-1:1:SIDE * 1j, -1:1:SIDE * 1j] * np.exp(rng.normal(0.5, 0.5))
    h = np.stack([xx, yy, np.hypot(xx, yy), np.ones_like(xx)], -1).reshape(-1, 4)
    functions = [np.sin, np.tanh, lambda v: np.abs(v) - 1, lambda v: np.maximum(v, 0), lambda v: np.exp(-v * v)]
    for _ in range(rng.integers(2, 5)):
        h = functions[rng.integers(5)](h @ rng.normal(0, 1.6 / np.sqrt(h.shape[1]) * rng.uniform(0.7, 2), (h.shape[1], 16)))
    out = h @ rng.normal(0, 1, (16, 3))
    low, high = np.percentile(out, [2, 98], axis=0)
    return to8(((out - low) / np.maximum(high - low, 1e-6)).reshape(SIDE, SIDE, 3))


def conv(rng):
    """An untrained generator: noise, widened and filtered until it is an image."""
    torch.manual_seed(int(rng.integers(1 << 30)))
    width = 24
    x = torch.randn(1, width, 4, 4)
    for size in (9, 18, 36, 72, 144):
        x = F.interpolate(x, size=(size, size), mode='bilinear' if rng.random() < 0.7 else 'nearest')
        kernel = torch.randn(width, width, 3, 3)
        if rng.random() < 0.5:
            kernel *= (torch.rand(width, width, 1, 1) < 0.2)
        x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode='reflect'), kernel)
        x = x + torch.randn(1, 1, size, size) * torch.randn(1, width, 1, 1) * x.std() * float(rng.choice([0, 0.1, 0.6]))
        x = F.leaky_relu(F.instance_norm(x) + torch.randn(1, width, 1, 1) * 0.5, 0.2)
    mixing = torch.randn(3, width) * 0.4 + torch.randn(1, width)
    out = torch.einsum('cw,bwyx->byxc', mixing, x)[0].numpy()
    low, high = np.percentile(out, [1, 99], axis=(0, 1))
    return to8((out - low) / np.maximum(high - low, 1e-6) * rng.uniform(0.5, 1) + rng.uniform(0, 0.2))


def spectrum(rng):
    noise = powerNoise(rng, SIDE)
    kind = rng.integers(3)
    if kind == 1:
        edges = np.sort(rng.normal(0, 1, rng.integers(1, 6)))
        palette = np.stack([colour(rng) for _ in range(len(edges) + 1)])
        return to8(palette[np.digitize(noise[..., 0], edges)] + 0.05 * noise * rng.random())
    if kind == 2:
        noise = np.abs(noise) * 1.5 - 1
    return to8(colour(rng) + rng.uniform(0.08, 0.3) * noise)


def projected(image, corners):
    """The image seen from its side: its corners at the given places."""
    side = image.size[0]
    sources = [(0, 0), (side, 0), (side, side), (0, side)]
    rows, values = [], []
    for (x, y), (u, v) in zip(corners, sources):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    try:
        plan = np.linalg.solve(np.array(rows, float), np.array(values, float))
    except np.linalg.LinAlgError:
        return image
    return image.transform(image.size, Image.PERSPECTIVE, tuple(plan), Image.BICUBIC)


def patterned(rng, side):
    yy, xx = np.mgrid[0:side, 0:side]
    across, down = rng.uniform(6, 50, 2)
    kind = rng.integers(5)
    shift = (yy // down).astype(int) % 2 * across / 2 * (kind == 0)
    gap = rng.uniform(0.05, 0.5)
    u, v = ((xx + shift) % across) / across, (yy % down) / down
    if kind <= 1:
        mask = (u < gap) | (v < gap)
    elif kind == 2:
        mask = u < gap
    elif kind == 3:
        mask = (u < 0.5) ^ (v < 0.5)
    else:
        mask = np.hypot(u - 0.5, v - 0.5) < gap
    return np.where(mask[..., None], texture(rng, side), texture(rng, side))


def pattern(rng):
    image = Image.fromarray(to8(patterned(rng, SIDE)))
    if rng.random() < 0.7:
        spread = rng.uniform(0, 0.6) * SIDE
        base = np.array([[-20, -20], [164, -20], [164, 164], [-20, 164]], float)
        image = projected(image, base + rng.uniform(-1, 1, (4, 2)) * spread)
    image = image.rotate(rng.choice([0, rng.uniform(-180, 180)]), Image.BICUBIC)
    return np.asarray(image)


def thing(rng, canvas, centre, radius, far=0.0, haze=None):
    """Paints one object of a few parts, shaded, onto the canvas."""
    parts = rng.integers(1, 5)
    kind = rng.random()
    for part in range(parts):
        offset = rng.normal(0, 0.35, 2) * radius * (part > 0)
        points = outline(rng, np.asarray(centre) + offset, radius * (1 if part == 0 else rng.uniform(0.2, 0.6)))
        mask = Image.new('L', canvas.size)
        ImageDraw.Draw(mask).polygon(points, fill=255)
        surface = (patterned if kind < 0.3 and part == 0 else texture)(rng, canvas.size[0])
        surface = lit(rng, surface)
        if part > 0 and rng.random() < 0.15:  # a lamp
            surface = np.zeros_like(surface) + np.eye(3)[rng.integers(3)] * 0.9 + 0.1
        if haze is not None:
            surface = surface * (1 - far) + haze * far
        canvas.paste(Image.fromarray(to8(surface)), (0, 0), mask)


def background(rng, side=SIDE):
    choice = rng.integers(4)
    if choice == 0:
        return lit(rng, np.zeros((side, side, 3)) + colour(rng))
    if choice == 1:
        return lit(rng, patterned(rng, side))
    return lit(rng, texture(rng, side))


def objectOf(rng):
    canvas = Image.fromarray(to8(background(rng)))
    for _ in range(rng.integers(0, 3)):
        thing(rng, canvas, rng.uniform(0, SIDE, 2), rng.uniform(8, 24))
    thing(rng, canvas, rng.normal(SIDE / 2, 12, 2), rng.uniform(28, 62))
    if rng.random() < 0.4:
        canvas = canvas.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))
    return np.asarray(canvas)


def scene(rng):
    """Sky above, ground below in perspective, things that stand on it."""
    horizon = rng.uniform(0.2, 0.65) * SIDE
    yy = np.arange(SIDE)[:, None, None]
    top, haze = np.clip(colour(rng) + [0, 0.05, 0.15], 0, 1), np.clip(colour(rng) + 0.2, 0, 1)
    clouds = powerNoise(rng, SIDE, 1, rng.uniform(1.2, 2)) * rng.uniform(0, 0.12)
    sky = top + (haze - top) * np.clip(yy / horizon, 0, 1) ** rng.uniform(0.6, 3) + clouds
    ground = Image.fromarray(to8(patterned(rng, SIDE) if rng.random() < 0.4 else texture(rng)))
    narrow = rng.uniform(0.1, 0.9) * SIDE / 2
    middle = rng.uniform(0.3, 0.7) * SIDE
    ground = projected(ground, [(middle - narrow, horizon), (middle + narrow, horizon), (SIDE * 1.8, SIDE), (-SIDE * 0.8, SIDE)])
    ground = np.asarray(ground).astype(float) / 255
    ground = np.where(ground.sum(-1, keepdims=True) == 0, colour(rng), ground)
    near = np.clip((yy - horizon) / (SIDE - horizon + 1e-6), 0, 1)
    ground = ground * (0.4 + 0.6 * near) + haze * (0.6 - 0.6 * near)
    canvas = Image.fromarray(to8(np.where(yy < horizon, sky, ground)))
    if rng.random() < 0.6:
        for _ in range(rng.integers(1, 4)):  # a lane or a path
            x = rng.uniform(-1, 2) * SIDE
            w = rng.uniform(2, 40)
            ImageDraw.Draw(canvas).polygon([(middle, horizon), (x, SIDE), (x + w, SIDE)], fill=tuple(int(c * 255) for c in colour(rng)))
    distances = np.sort(rng.uniform(0, 1, rng.integers(1, 14)) ** 1.5)
    for depth in distances:
        radius = 3 + 42 * depth * rng.uniform(0.5, 1.3)
        foot = horizon + (SIDE - horizon) * depth * 0.9
        thing(rng, canvas, (rng.uniform(0, SIDE), foot - radius * rng.uniform(0.5, 1.6)), radius, 0.7 * (1 - depth) ** 2, haze)
    return np.asarray(canvas)


GENERATORS = {'fractal': fractal, 'leaves': leaves, 'cppn': cppn, 'conv': conv, 'spectrum': spectrum, 'pattern': pattern, 'object': objectOf, 'scene': scene}

# (family, files, crops of each): sets whose licence allows a product under Apache-2.0, and that no test uses.
REAL = [
    ('simulator', 'drift/sim_frames_SYNTHETIC/*', 14),  # CarND-Capstone, MIT
    ('highway', 'reference_permissive/udacity_highway_1280x720/*', 24),  # Udacity CarND, MIT
    ('indoor', 'pairs/noise_polyu/*', 14),  # PolyU, BSD-like
    ('outdoor', 'pairs/blur_kwentar/*_S*', 60),  # blur_dataset, CC0
]


def real(cache, shared):
    rng = np.random.default_rng(5)
    for family, files, crops in REAL:
        with open(os.path.join(cache, family + '.bin'), 'wb') as out:
            for file in sorted(glob.glob(os.path.join(shared, files))):
                image = Image.open(file).convert('RGB')
                w, h = image.size
                for i in range(crops):
                    share = 1 if i == 0 else rng.uniform(0.15, 0.9)
                    a, b = w * share, h * min(1, share * np.exp(rng.normal(0, 0.2)))
                    x, y = rng.uniform(0, w - a), rng.uniform(0, max(h - b, 1e-3))
                    box = (x, y, x + a, min(h, y + b))
                    out.write(np.asarray(image.resize((SIDE, SIDE), Image.BICUBIC, box, reducing_gap=3)).tobytes())


if __name__ == '__main__':
    cache, family = sys.argv[1:3]
    os.makedirs(cache, exist_ok=True)
    if family == 'real':
        real(cache, sys.argv[3])
    else:
        seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
        with open(os.path.join(cache, family + '.bin'), 'wb') as out:
            for index in range(int(sys.argv[3])):
                image = GENERATORS[family](np.random.default_rng([seed, list(GENERATORS).index(family), index]))
                assert image.shape == (SIDE, SIDE, 3), image.shape
                out.write(np.ascontiguousarray(image).tobytes())
