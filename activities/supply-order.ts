/** Telling a platform that goods left. Each step may run twice: the shipment's own state answers a repeat. */
import { SHIPMENT_LOOK_MS } from '../config/timeouts';
import { type FailureCode, HubError, isHubError } from '../domain/failures';
import { otherNumbers, type ShipmentNotice } from '../domain/supply-orders';
import type { FailureWords } from '../workflows/failures';
import type { ActivityDeps } from './deps';

export function createSupplyOrderActivities({ store, access, logger, shipments: { waitMs } }: ActivityDeps) {
  const { shipments } = store.orders;
  return {
    /** Tells the platform, where there is one to tell and it is time. The connector looks first what the platform knows. */
    async tellShipment(input: { package: string }): Promise<Exclude<ShipmentNotice, 'due'>> {
      const shipment = await shipments.shipmentToTell(input.package);
      if (shipment === null) return 'none';
      try {
        const row = await store.stores.byId(shipment.store);
        const isWhole = access.connectorOf(row.platform).capabilities.shipment === 'wholeOrder';
        const waitsForMs = shipment.leftAt + waitMs - store.database.now().getTime();
        if (isWhole && !shipment.othersAreOut && waitsForMs > 0) {
          await shipments.shipmentWaits(input.package, Math.min(SHIPMENT_LOOK_MS, waitsForMs));
          return 'waiting';
        }
        const known = await access.call(shipment.store, (connector, shop) => connector.shipOrder(shop, shipment));
        const ours = [shipment.trackingNumber, ...(isWhole ? shipment.othersNumbers : [])];
        const theirs = otherNumbers(known?.trackingNumbers ?? [], ours);
        if (theirs.length > 0)
          throw new HubError(
            'tracking_differs',
            `The platform has it as ${theirs.join(', ')}, not as ${shipment.trackingNumber}`,
          );
        await shipments.shipmentTold(input.package, isWhole);
        return 'told';
      } catch (error) {
        if (!isHubError(error) || error.code !== 'store_disconnected') throw error;
        logger.warn('shipment not told: the store is disconnected', { store: shipment.store });
        await shipments.giveUpShipment(input.package, 'The store is disconnected: its platform was not told');
        return 'failed';
      }
    },
    async parkShipment({ package: pkg, code, detail }: { package: string } & FailureWords): Promise<void> {
      await shipments.parkShipment(pkg, { code: code as FailureCode, detail });
    },
    async resumeShipment(input: { package: string }): Promise<void> {
      await shipments.resumeShipment(input.package);
    },
    async giveUpShipment(input: { package: string; why: string }): Promise<void> {
      await shipments.giveUpShipment(input.package, input.why);
    },
  };
}
