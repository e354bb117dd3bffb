/** Who calls. The account comes from the key and from nowhere else. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isPermitted, type Permission } from '../domain/accounts';
import { HubError } from '../domain/failures';
import type { Caller } from '../store/repositories/accounts';
import type { Hub } from './hub';

/**
 * Who may call a route: anybody; the operator of the installation, with the admin key; any key of an account; or a key
 * with the permission (one of them, where several are named).
 */
export type Access = 'public' | 'platform' | 'any' | Permission | readonly Permission[];

export type Identity =
  | { readonly kind: 'nobody' }
  | { readonly kind: 'platform' }
  | { readonly kind: 'account'; readonly caller: Caller };

const digest = (text: string) => createHash('sha256').update(text).digest();

/** @returns who presents this `Authorization` header; a wrong key is nobody. */
export function createAuthentication(hub: Pick<Hub, 'config' | 'store'>) {
  const admin = digest(hub.config.adminKey);
  return async (authorization: string | undefined): Promise<Identity> => {
    const key = /^Bearer ([\x21-\x7e]{1,500})$/i.exec(authorization ?? '')?.[1];
    if (key === undefined) return { kind: 'nobody' };
    // Digests have one length, so the comparison takes the same time for any guess.
    if (timingSafeEqual(digest(key), admin)) return { kind: 'platform' };
    const caller = await hub.store.accounts.authenticate(key);
    return caller === null ? { kind: 'nobody' } : { kind: 'account', caller };
  };
}

function missing(permission: string, detail: string): HubError {
  return new HubError('permission_missing', detail, { members: { permission } });
}

/** Throws 401 or 403 (naming the permission) where the identity may not call. */
export function requireAccess(access: Access, identity: Identity): void {
  if (access === 'public') return;
  if (identity.kind === 'nobody')
    throw new HubError('unauthenticated', 'Send Authorization: Bearer followed by an API key');
  if (access === 'platform') {
    if (identity.kind === 'platform') return;
    throw missing('platform', 'Only the operator of this hub may do this, with the admin key');
  }
  if (identity.kind === 'platform') throw missing('account', 'The admin key belongs to no account; use an API key');
  if (access === 'any') return;
  const enough = typeof access === 'string' ? [access] : access;
  const [first = 'admin'] = enough;
  if (!enough.some((permission) => isPermitted(identity.caller.permissions, permission)))
    throw missing(first, `The key needs the permission ${enough.join(' or ')}`);
}
