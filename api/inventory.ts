/** The switch that stock push hangs on. */
import { HubError } from '../domain/failures';
import type { Hub } from './hub';

/** 409 `inventory_off`. */
export async function requireInventory({ store }: Pick<Hub, 'store'>, account: string): Promise<void> {
  if (!(await store.accounts.get(account)).inventoryEnabled)
    throw new HubError('inventory_off', 'Turn it on with PATCH /v1/account {"inventoryEnabled":true}');
}
