import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { settings } from '../../src/settings.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const folder = temporaryFolder();
/** Whether a program of Debian is there; the tests that need it are skipped with its name where it is not. */
const has = (program: string, ...args: string[]) => {
  const isThere = spawnSync(program, args).status === 0;
  if (!isThere) console.warn(`skipped: no ${program} on this machine`);
  return isThere;
};

const sprig = '/usr/share/gocode/src/github.com/Masterminds/sprig';
const hasTemplates = existsSync(sprig) && has('go', 'version');
if (!existsSync(sprig)) console.warn('skipped: no golang-github-masterminds-sprig-dev on this machine');

interface Document {
  kind: string;
  // biome-ignore lint/suspicious/noExplicitAny: what a chart makes has no type here.
  spec: any;
}

/** Compiled once: the templates of Go and the functions of Sprig, which is what Helm renders with. */
function openRenderer(): (values: object) => { documents: Map<string, Document>; error: string } {
  const program = join(folder, 'helm');
  const env = { ...process.env, GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOCACHE: join(folder, 'go') };
  const built = spawnSync('go', ['build', '-o', program, join(root, 'test/fixtures/helm.go')], {
    env,
    encoding: 'utf8',
  });
  expect(built.stderr).toBe('');
  return (values) => {
    const { stdout, stderr, status } = spawnSync(
      program,
      [join(root, 'deploy/helm/stopline'), JSON.stringify(values)],
      {
        encoding: 'utf8',
      },
    );
    const list: Document[] = status === 0 ? JSON.parse(stdout) : [];
    return { documents: new Map(list.map((document) => [document.kind, document])), error: stderr };
  };
}

describe.skipIf(!hasTemplates)('the Helm chart', () => {
  it('renders what it promises, from each place a Profile can come from', () => {
    const render = openRenderer();
    const { documents, error } = render({ profile: { configMap: 'camera' } });
    expect(error).toBe('');
    expect([...documents.keys()].sort()).toEqual(['Deployment', 'NetworkPolicy', 'PodDisruptionBudget', 'Service']);
    const pod = (values: object) => render(values).documents.get('Deployment')!.spec.template.spec;
    const plain = pod({ profile: { configMap: 'camera' } });
    expect(plain.volumes[0]).toEqual({ name: 'profile', configMap: { name: 'camera' } });
    expect(plain.containers[0].readinessProbe.httpGet.path).toBe('/health/ready');
    expect(plain.containers[0].securityContext).toMatchObject({ readOnlyRootFilesystem: true });

    const claimed = pod({ profile: { persistentVolumeClaim: 'profiles' } });
    expect(claimed.volumes[0].persistentVolumeClaim).toEqual({ claimName: 'profiles', readOnly: true });
    const fetched = pod({
      profile: { s3: { url: 's3://models/camera.stopline', endpoint: 'http://minio:9000', secret: 'aws' } },
    });
    expect(fetched.initContainers[0].args.join(' ')).toBe(
      's3 cp s3://models/camera.stopline /profiles/profile.stopline --endpoint-url http://minio:9000',
    );
    expect(fetched.volumes[0].emptyDir).toEqual({});

    for (const profile of [{}, { configMap: 'a', persistentVolumeClaim: 'b' }])
      expect(render({ profile }).error).toContain('Expected exactly one of profile.configMap');

    const watched = render({
      profile: { configMap: 'camera' },
      autoscaling: { enabled: true },
      serviceMonitor: { enabled: true },
      settings: { STOPLINE_UPSTREAM: 'http://triton:8000' },
      networkPolicy: { from: [{ podSelector: {} }], egress: [{ ports: [{ port: 8000 }] }] },
    }).documents;
    expect(watched.get('Deployment')!.spec.replicas).toBeUndefined();
    expect(watched.get('Deployment')!.spec.template.spec.containers[0].livenessProbe.httpGet.path).toBe(
      '/stopline/health/live',
    );
    expect(watched.get('ServiceMonitor')!.spec.endpoints[0].path).toBe('/stopline/metrics');
    expect(watched.get('NetworkPolicy')!.spec.egress).toHaveLength(2);
    const metric = watched.get('HorizontalPodAutoscaler')!.spec.metrics[0].pods.metric.name;
    expect(read('docs/metrics.md')).toContain(`| \`${metric}\` | gauge |`);
    // What selects pods is what they are labelled with.
    const { labels } = watched.get('Deployment')!.spec.template.metadata;
    for (const kind of ['Service', 'PodDisruptionBudget', 'NetworkPolicy']) {
      const { selector, podSelector } = watched.get(kind)!.spec;
      expect(labels).toMatchObject(podSelector?.matchLabels ?? selector.matchLabels ?? selector);
    }
  });
});

const python = '/usr/bin/python3';
const hasDefinitions = has(python, '-c', 'import kubernetes.client, yaml');

/** What the definitions of Kubernetes, in its client for Python, find wrong with documents of YAML or a list of JSON. */
function findFaults(text: string): string {
  const script = join(root, 'test/fixtures/manifests.py');
  const { stdout, stderr } = spawnSync(python, [script], { input: text, encoding: 'utf8' });
  expect(stderr).toBe('');
  return stdout;
}

describe.skipIf(!hasDefinitions)('what Kubernetes is given', () => {
  it.skipIf(!hasTemplates)('by the chart has only fields that there are, each of its type', () => {
    const render = openRenderer();
    const documents = (values: object) => JSON.stringify([...render(values).documents.values()]);
    const all = {
      profile: { s3: { url: 's3://models/camera.stopline', secret: 'aws' } },
      autoscaling: { enabled: true },
      settings: { STOPLINE_UPSTREAM: 'http://triton:8000' },
      networkPolicy: { from: [{ podSelector: {} }], egress: [{ ports: [{ port: 8000 }] }] },
      resources: { limits: { cpu: 2, memory: '1Gi' } },
    };
    expect(findFaults(documents(all))).toBe('');
    expect(findFaults(documents({ profile: { configMap: 'camera' } }))).toBe('');
    expect(findFaults(documents(all).replace('"readinessProbe"', '"readyProbe"'))).toMatch(
      /^Deployment\S*\.readyProbe: no such field$/m,
    );
  });

  it('by the documents, too', () => {
    const blocks = ['docs/scale.md', 'docs/nightly.md', 'docs/operations.md', 'docs/containers.md']
      .flatMap((path) => [...read(path).matchAll(/^```yaml\n(.*?)^```/gms)])
      .map(([, text]) => text)
      .filter((text) => text.includes('apiVersion:'));
    expect(blocks.length).toBeGreaterThan(2);
    for (const block of blocks) expect(findFaults(block), block).toBe('');
  });
});

const yaml = [
  'compose.yaml',
  'prometheus.yml',
  'alertmanager.yml',
  'grafana/provisioning.yaml',
  'grafana/dashboards.yaml',
];

describe('the files to deploy', () => {
  it('name only settings that there are', () => {
    const known = new Set(settings.map(({ env }) => env));
    const files = [
      'deploy/compose.yaml',
      'deploy/stopline.service',
      'deploy/helm/stopline/values.yaml',
      'deploy/helm/stopline/templates/deployment.yaml',
    ];
    const named = files.flatMap((file) => read(file).match(/STOPLINE_[A-Z0-9_]+/g) ?? []);
    expect(named.length).toBeGreaterThan(8);
    for (const name of named) expect(known, name).toContain(name);
  });

  it('mount only files that are there', () => {
    const mounted = [...read('deploy/compose.yaml').matchAll(/(\.\.?\/[\w./-]+):\//g)].map(([, path]) => path);
    const own = mounted.filter((path) => !/^\.\/(secrets|profile)/.test(path));
    expect(own.length).toBeGreaterThan(5);
    for (const path of own) expect(existsSync(join(root, 'deploy', path)), path).toBe(true);
  });

  it.skipIf(!has('yamllint', '--version'))('are YAML as yamllint has it', () => {
    const rules =
      '{extends: default, rules: {line-length: disable, document-start: disable, braces: {max-spaces-inside: 1}}}';
    const files = [
      ...yaml.map((file) => `deploy/${file}`),
      'deploy/helm/stopline/values.yaml',
      'deploy/helm/stopline/Chart.yaml',
      'action.yml',
    ];
    const { stdout, status } = spawnSync('yamllint', ['-d', rules, ...files], { cwd: root, encoding: 'utf8' });
    expect(stdout).toBe('');
    expect(status).toBe(0);
  });

  it.skipIf(!has('docker-compose', '--version'))('are taken by Compose', () => {
    // Debian's is of a time when a file could not have a name of its own.
    const input = read('deploy/compose.yaml').replace(/^name: .*$/m, '');
    const place = join(folder, 'compose');
    mkdirSync(join(place, 'secrets'), { recursive: true });
    writeFileSync(join(place, 'secrets/api-keys'), '');
    const { stdout, stderr, status } = spawnSync('docker-compose', ['-f', '-', 'config', '--services'], {
      cwd: place,
      input,
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout.trim().split('\n').sort()).toEqual(['alertmanager', 'grafana', 'prometheus', 'redis', 'stopline']);
  });

  it.skipIf(!has('systemd-analyze', '--version'))('have a unit that systemd takes', () => {
    const { stderr, status } = spawnSync('systemd-analyze', ['verify', join(root, 'deploy/stopline.service')], {
      encoding: 'utf8',
    });
    // What it says of other units of the machine is none of ours.
    expect(stderr.split('\n').filter((line) => line.includes('stopline.service'))).toEqual([]);
    expect(status).toBe(0);
  });
});

describe('the action for GitHub', () => {
  const script = /run: \|\n([\s\S]*)$/.exec(read('action.yml'))![1].replace(/^ {8}/gm, '');

  /** Runs the script of the action with a check that ends with a status, and tells what it was given. */
  function act(status: number, inputs: Record<string, string>) {
    const bin = join(folder, `bin${status}`);
    mkdirSync(bin, { recursive: true });
    writeFileSync(join(bin, 'npx'), `#!/bin/sh\nprintf '%s\\n' "$@"\nexit ${status}\n`);
    chmodSync(join(bin, 'npx'), 0o755);
    const output = join(folder, `output${status}`);
    writeFileSync(output, '');
    const given = Object.fromEntries(Object.entries(inputs).map(([name, value]) => [`INPUT_${name}`, value]));
    const usual = {
      INPUT_PROFILE: 'camera.stopline',
      INPUT_VERSION: '1',
      INPUT_MAX_BLOCK: '',
      INPUT_MAX_FAILED: '',
      INPUT_FAIL_ON: 'any',
    };
    const env = { PATH: `${bin}:${process.env.PATH}`, GITHUB_OUTPUT: output, ...usual, ...given };
    const run = spawnSync('bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-c', script], {
      env,
      cwd: folder,
      encoding: 'utf8',
    });
    return { status: run.status, args: run.stdout.trim().split('\n'), output: readFileSync(output, 'utf8') };
  }

  it('checks the paths, and says whether they match', () => {
    expect(act(0, { PATHS: 'a/ b/', MAX_BLOCK: '1%' })).toEqual({
      status: 0,
      args: [
        ...['--yes', 'stopline@1', 'check', 'a/', 'b/', '--profile', 'camera.stopline', '--fail-on', 'any'],
        ...['--max-block', '1%', '--format', 'github'],
      ],
      output: 'matches=true\n',
    });
    expect(act(1, { PATHS: 'a/' })).toMatchObject({ status: 1, output: 'matches=false\n' });
    expect(act(66, { PATHS: 'nowhere/' })).toMatchObject({ status: 66, output: '' });
  });

  it('runs nothing that stands in an input', () => {
    const { args } = act(0, { PATHS: '$(touch broken) `id` *', PROFILE: '"; exit 3; "' });
    expect(args).toContain('$(touch');
    expect(args).toContain('*');
    expect(args).toContain('"; exit 3; "');
    expect(existsSync(join(folder, 'broken'))).toBe(false);
  });
});
