import { PassThrough } from 'node:stream';
import { createLogger, type Logger } from '../../config/logger';

function logged(format: 'json' | 'pretty', write: (logger: Logger) => void): string {
  const stream = new PassThrough();
  write(createLogger({ level: 'info', format, service: 'test', stream }));
  return String(stream.read() ?? '');
}

describe('the logger', () => {
  test('writes a constant message and its fields as one line of JSON', () => {
    const text = logged('json', (logger) =>
      logger.child({ account: 'acct_1' }).info('Order pushed', { order: 'ord_1' }),
    );
    expect(text.trimEnd().split('\n')).toHaveLength(1);
    expect(JSON.parse(text)).toMatchObject({
      level: 'info',
      service: 'test',
      message: 'Order pushed',
      account: 'acct_1',
      order: 'ord_1',
    });
  });

  test('is readable in development and leaves out what is below its level', () => {
    const text = logged('pretty', (logger) => {
      logger.debug('Not this');
      logger.warn('Lane parked', { store: 'store_1', attempt: 8 });
    });
    expect(text).toMatch(/^\d\d:\d\d:\d\d\.\d{3} warn {2}test Lane parked store=store_1 attempt=8\n$/);
  });

  test.each(['json', 'pretty'] as const)('hides secrets and personal data by the name of the field (%s)', (format) => {
    const cyclic: Record<string, unknown> = { order: 'kept' };
    cyclic.self = cyclic;
    const text = logged(format, (logger) =>
      logger.child({ adminKey: 'leak-0' }).error('Everything', {
        accessToken: 'leak-1',
        refresh_token: 'leak-2',
        nested: { deep: [{ Authorization: 'leak-3', recipient: { name: 'leak-4' } }], partner_key: 'leak-5' },
        email: 'leak-6',
        'x-shopee-signature': 'leak-7',
        text: 'GET https://x/?access_token=leak-8&sign=leak-9 with Bearer leak-10 at mongodb://me:leak-11@host/',
        message: 'leak-12',
        map: new Map([['secret', 'leak-13']]),
        buffer: Buffer.from('leak-14'),
        cyclic,
        big: 12n,
      }),
    );
    expect(text).toContain('Everything');
    expect(text).toContain('kept');
    expect(text).not.toMatch(/leak-\d+/);
  });

  test('keeps of an error what explains it, never its request', () => {
    const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', config: { data: 'leak' } });
    const error = Object.assign(new Error('Call failed with Bearer leak', { cause }), { request: 'leak', status: 1 });
    const line = JSON.parse(logged('json', (logger) => logger.error('Push failed', { error })));
    expect(line.error).toMatchObject({
      name: 'Error',
      cause: { code: 'ECONNREFUSED', message: 'connect ECONNREFUSED' },
    });
    expect(line.error.stack).toContain('logger.test');
    expect(JSON.stringify(line)).not.toContain('leak');
  });
});
