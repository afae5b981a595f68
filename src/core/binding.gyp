# Built by `npm run build:native`. Not at the root, so that npm never builds it by itself.
# The kernels are compiled once per instruction set into static libraries; addon.c picks one at load.
# confine.c is a library of its own: to load it takes rights away.
{
  # Also read by scripts/wasm.ts and test/core: one file name per line.
  'variables': {
    'kernels': [
      'measure.c',
      'colour.c',
      'gradient.c',
      'scales.c',
      'naturalness.c',
      'lattice.c',
      'local.c',
      'tint.c',
      'resize.c',
    ],
  },
  'target_defaults': {
    'cflags': ['-std=c11', '-O3', '-ffp-contract=off', '-fno-math-errno', '-fvisibility=hidden', '-Wall', '-Wextra'],
    'cflags!': ['-fno-omit-frame-pointer'],
    'xcode_settings': {
      'OTHER_CFLAGS': ['-std=c11', '-O3', '-ffp-contract=off', '-fno-math-errno', '-fvisibility=hidden'],
    },
  },
  'targets': [
    {
      'target_name': 'baseline',
      'type': 'static_library',
      'sources': ['<@(kernels)'],
      'defines': ['STOPLINE_VARIANT=baseline'],
    },
    {
      'target_name': 'stopline',
      'sources': ['addon.c'],
      'defines': ['NAPI_VERSION=8'],
      'dependencies': ['baseline'],
      'conditions': [['target_arch=="x64"', {'dependencies': ['avx2', 'avx512']}]],
    },
    {
      'target_name': 'confine',
      'sources': ['confine.c'],
    },
  ],
  'conditions': [
    ['target_arch=="x64"', {
      'targets': [
        {
          'target_name': 'avx2',
          'type': 'static_library',
          'sources': ['<@(kernels)'],
          'defines': ['STOPLINE_VARIANT=avx2'],
          'cflags': ['-mavx2', '-mbmi', '-mbmi2', '-mpopcnt'],
          'xcode_settings': {'OTHER_CFLAGS': ['-mavx2', '-mbmi', '-mbmi2', '-mpopcnt']},
        },
        {
          'target_name': 'avx512',
          'type': 'static_library',
          'sources': ['<@(kernels)'],
          'defines': ['STOPLINE_VARIANT=avx512'],
          'cflags': ['-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl', '-mprefer-vector-width=512',
                     '-mbmi', '-mbmi2', '-mpopcnt'],
          'xcode_settings': {'OTHER_CFLAGS': ['-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl',
                                              '-mbmi', '-mbmi2', '-mpopcnt']},
        },
      ],
    }],
  ],
}
