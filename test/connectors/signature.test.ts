import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { signLazadaCall, signLazadaPush } from '../../connectors/marketplaces/lazada/signature';
import { signShopeeCall, signShopeePush } from '../../connectors/marketplaces/shopee/signature';
import { signTiktokCall, signTiktokPush } from '../../connectors/marketplaces/tiktok/signature';
import { signJfwmsCall } from '../../connectors/wms/jfwms/signature';

// The vectors of platforms.md. The keys are printed in the vendors' documents and public tests.
const SHOPEE_KEY = '57615053704d6470644f554a78656d50484143644964436a5568777544524579';

describe('the signature vectors of the vendors', () => {
  test('Shopee, a shop call', () => {
    const sign = signShopeeCall({
      partnerId: '2001887',
      partnerKey: SHOPEE_KEY,
      path: '/api/v2/shop/get_shop_info',
      timestamp: 1655714431,
      shop: { accessToken: '59777174636562737266615546704c6d', shopId: '14701711' },
    });
    expect(sign).toBe('b914bea03c13799deb036bb9d10e689f5a6bade160c44af568646f1ef7d796c1');
  });

  test('Shopee, a public call', () => {
    const path = '/api/v2/public/get_shops_by_partner';
    const sign = signShopeeCall({ partnerId: '2001887', partnerKey: SHOPEE_KEY, path, timestamp: 1655714431 });
    expect(sign).toBe('60ab8c4a535009ab33b8a0029ee18a667ef6eaeb16481ed3d573a5059122d4df');
  });

  test('Shopee, a push', () => {
    const body = Buffer.from('{"shop_id":123,"code":1}');
    expect(signShopeePush(SHOPEE_KEY, 'https://example.com/shopee/push', body)).toBe(
      '5f2ca9f6c64e58aa5af5d28ae9e62a49363df59072cdc501232e444720923f89',
    );
  });

  test('Lazada, a call', () => {
    const parameters = {
      timestamp: '1517820392000',
      order_id: '1234',
      sign: 'IGNORED',
      sign_method: 'sha256',
      app_key: '123456',
      access_token: 'test',
    };
    expect(signLazadaCall('helloworld', '/order/get', parameters)).toBe(
      '4190D32361CFB9581350222F345CB77F3B19F0E31D162316848A2C1FFD5FAB4A',
    );
  });

  test('Lazada, a push', () => {
    const body = Buffer.from('{"seller_id":"1234567", "message_type":0, "data":{...}..}');
    expect(signLazadaPush('123456', '3412gyo124goi3124', body)).toBe(
      'f3d2ca947f16a50b577c036adecd18bec126ea19cadedd59816e255d3b6104ab',
    );
  });

  test('TikTok, a GET', () => {
    const query = { timestamp: '1623812664', app_key: '29a39d', sign: 'x', access_token: 'y' };
    expect(signTiktokCall('e59af819cc', '/authorization/202309/shops', query)).toBe(
      'b596b73e0cc6de07ac26f036364178ab16b0a907af13d43f0a0cd2345f582dc8',
    );
  });

  test('TikTok, a push', () => {
    const body =
      '{"type":1,"tts_notification_id":"7380066284010030890","shop_id":"7495540735365777507","timestamp":1718305585,' +
      '"data":{"is_on_hold_order":true,"order_id":"576653688135258178","order_status":"UNPAID","update_time":1718305585}}';
    expect(signTiktokPush('abcdef', '123', Buffer.from(body))).toBe(
      '5dec0f11ec2f6783b8deee53c9ffbf8d024302f7c7e7fa55a35d17629031ac05',
    );
  });

  test('JFWMS, a call', () => {
    const sign = signJfwmsCall({
      clientId: 'fe73489a9b5948dbafd07e7b28d6e268',
      clientSecret: '4a506ccaf37e400bac4a42d2dc5f600a',
      accessToken: '1b56814f081c432cb82751be145261d3',
      userId: '8',
      path: '/api/order/get',
      timestamp: 1692889556000,
      nonce: '14',
    });
    expect(sign).toBe('9bc08ba7552c5dfea4efab6bda78a4a9738010913f2403bd93f09c6bf974b939');
  });
});

describe('signed parameters', () => {
  const parameters = fc.dictionary(fc.stringMatching(/^[a-z_]{1,8}$/), fc.string());

  test('their order of writing changes nothing, and `sign` is not signed', () => {
    fc.assert(
      fc.property(parameters, fc.string(), (values, sign) => {
        const reversed = Object.fromEntries(Object.entries(values).reverse());
        const { sign: _, ...others } = values;
        expect(signLazadaCall('secret', '/path', { ...reversed, sign })).toBe(
          signLazadaCall('secret', '/path', others),
        );
        expect(signTiktokCall('secret', '/path', { ...reversed, sign })).toBe(
          signTiktokCall('secret', '/path', { ...others, access_token: 'any' }),
        );
      }),
    );
  });

  test('they are sorted by their bytes: upper case before underscore before lower case', () => {
    const message = '/pathA1_2a3';
    const expected = createHmac('sha256', 'secret').update(message).digest('hex').toUpperCase();
    expect(signLazadaCall('secret', '/path', { a: '3', _: '2', A: '1' })).toBe(expected);
  });

  test('any changed value changes the signature', () => {
    fc.assert(
      fc.property(parameters, fc.string({ minLength: 1 }), (values, more) => {
        const changed = { ...values, name: `${values.name ?? ''}${more}` };
        expect(signLazadaCall('secret', '/path', changed)).not.toBe(signLazadaCall('secret', '/path', values));
      }),
    );
  });
});
