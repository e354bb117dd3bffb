import { becomePrimary } from '../../sandbox/engines/mongo';

interface Config {
  readonly version: number;
  readonly members: { readonly host: string }[];
}

/** The replica set commands of a mongod, as its manual describes them. */
class FakeMongod {
  config: Config | undefined;
  commands: string[] = [];
  private elections = 0;

  constructor(private readonly ownHost: string) {}

  async command(command: object): Promise<Record<string, unknown>> {
    const name = Object.keys(command)[0] as string;
    this.commands.push(name);
    if (name === 'replSetGetConfig') {
      if (this.config === undefined) throw Object.assign(new Error('no replset config'), { code: 94 });
      return { config: this.config };
    }
    if (name === 'replSetInitiate')
      this.config = { ...(command as { replSetInitiate: Config }).replSetInitiate, version: 1 };
    if (name === 'replSetReconfig') {
      const { replSetReconfig: next, force } = command as { replSetReconfig: Config; force?: boolean };
      if (next.version <= (this.config?.version ?? 0) || force !== true)
        throw new Error('NewReplicaSetConfigurationIncompatible');
      this.config = next;
    }
    const member = this.config?.members.some(({ host }) => host === this.ownHost) ?? false;
    return { isWritablePrimary: name === 'hello' && member && this.elections++ > 0 };
  }
}

async function untilPrimary(mongod: FakeMongod, host: string): Promise<number> {
  for (let tries = 1; tries < 10; tries++) {
    const done = await becomePrimary(mongod as never, host).then(
      () => true,
      () => false,
    );
    if (done) return tries;
  }
  throw new Error('Never a primary');
}

describe('mongod as a replica set of one', () => {
  test('is initiated once, and waited for until it is primary', async () => {
    const mongod = new FakeMongod('127.0.0.1:5');
    expect(await untilPrimary(mongod, '127.0.0.1:5')).toBe(2);
    expect(mongod.commands.filter((name) => name === 'replSetInitiate')).toHaveLength(1);
    expect(mongod.commands).not.toContain('replSetReconfig');
  });

  test('follows its folder to another port', async () => {
    const mongod = new FakeMongod('127.0.0.1:6');
    mongod.config = { version: 3, members: [{ host: '127.0.0.1:5' }] };
    await untilPrimary(mongod, '127.0.0.1:6');
    expect(mongod.config).toMatchObject({ version: 4, members: [{ host: '127.0.0.1:6' }] });
    expect(mongod.commands).not.toContain('replSetInitiate');
  });
});
