// The database's own log of who held a wallet and who wrote it: triggers on mayfly's tables, in the order in which the rows' locks were
// had. What must hold of any history, however many writers tried: epochs and sequence numbers go up by one, a row is written by the
// commit that has its number, and nobody writes under an epoch that is over.

import assert from 'node:assert/strict'
import { MdkNode, generateMnemonic } from '../../../index.mjs'
import { until } from '../until.mjs'

/** A lease has to end, and another process to start. */
const PATIENCE_MS = 60_000

const SETUP = `
CREATE SCHEMA audit;
CREATE SEQUENCE audit.turn;
CREATE TABLE audit.lease (turn bigint PRIMARY KEY DEFAULT nextval('audit.turn'), at timestamptz DEFAULT clock_timestamp(), wallet bytea,
  epoch int8, seq int8, holder bytea, pid int8, old_epoch int8, old_seq int8, old_holder bytea, ran_out boolean, unrenewed_s float8);
CREATE TABLE audit.item (turn bigint PRIMARY KEY DEFAULT nextval('audit.turn'), wallet bytea, key bytea, seq int8, gone boolean);
CREATE FUNCTION audit.lease() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO audit.lease (wallet, epoch, seq, holder, pid, old_epoch, old_seq, old_holder, ran_out, unrenewed_s) VALUES (NEW.wallet,
    NEW.epoch, NEW.seq, NEW.holder, NEW.pid, OLD.epoch, OLD.seq, OLD.holder, OLD.expires_at <= clock_timestamp(),
    extract(epoch FROM clock_timestamp() - OLD.renewed_at));
  RETURN NULL; END $$;
CREATE FUNCTION audit.item() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO audit.item (wallet, key, seq, gone) VALUES (COALESCE(NEW.wallet, OLD.wallet), COALESCE(NEW.key, OLD.key), NEW.seq, NEW IS NULL);
  RETURN NULL; END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON mayfly.lease FOR EACH ROW EXECUTE FUNCTION audit.lease();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON mayfly.item FOR EACH ROW EXECUTE FUNCTION audit.item();`

export class Audit {
  /** From now on; makes mayfly's tables by their first use, if need be. `lab`: any. */
  static async of(database, lab) {
    const first = new MdkNode(lab.options({ mnemonic: generateMnemonic(), store: database.url() }))
    try {
      await first.getJitRoute()
      await first.stop()
    } finally {
      first.destroy()
    }
    await database.sql(SETUP)
    return new Audit(database)
  }

  constructor(database) {
    this.database = database
  }

  /** Where the log ends now. */
  async now() {
    return Number((await this.database.sql("SELECT last_value FROM audit.turn"))[0].last_value)
  }

  /** Changes of leases, in their order: `{ turn, wallet, epoch, seq, holder, … }`; `since`: after that turn. */
  async leases({ since = 0 } = {}) {
    const rows = await this.database.sql('SELECT * FROM audit.lease WHERE turn > $1 ORDER BY turn', [since])
    return rows.map((row) => ({
      turn: Number(row.turn),
      wallet: hex(row.wallet),
      epoch: Number(row.epoch),
      seq: Number(row.seq),
      holder: hex(row.holder),
      pid: Number(row.pid),
      old: row.old_epoch === null ? undefined : { epoch: Number(row.old_epoch), seq: Number(row.old_seq), holder: hex(row.old_holder) },
      ranOut: row.ran_out,
      unrenewedMs: row.unrenewed_s * 1000,
    }))
  }

  async items({ since = 0 } = {}) {
    const rows = await this.database.sql('SELECT * FROM audit.item WHERE turn > $1 ORDER BY turn', [since])
    return rows.map((row) => ({ turn: Number(row.turn), wallet: hex(row.wallet), key: hex(row.key), seq: row.gone ? undefined : Number(row.seq) }))
  }

  /** Changes of leases that were claims, in their order. */
  async claims(place) {
    return (await this.leases(place)).filter(isClaim)
  }

  /** Resolves with the claim that ended the epoch of that one. */
  isOver({ wallet, epoch }, place) {
    const next = async () => (await this.claims(place)).find((claim) => claim.wallet === wallet && claim.old.epoch === epoch)
    return until(`the end of epoch ${epoch}`, next, PATIENCE_MS)
  }

  /** Everything that is said above. Resolves with the claims. */
  async assertOneWriter() {
    // In this order: whose row is there, its commit is there a moment later.
    const items = await this.items()
    const leases = await this.leases()
    const commits = new Map()
    for (const { turn, wallet, epoch, seq, old } of leases.filter(({ old }) => old !== undefined)) {
      assert.ok(epoch === old.epoch || epoch === old.epoch + 1, `turn ${turn}: epoch ${old.epoch} became ${epoch}`)
      assert.ok(seq === old.seq || (seq === old.seq + 1 && epoch === old.epoch), `turn ${turn}: seq ${old.seq} became ${seq}`)
      if (seq !== old.seq) commits.set(`${wallet} ${seq}`, turn)
    }
    // The log begins in the middle of a wallet's life, or with it.
    const begun = new Set()
    const last = new Map()
    for (const { turn, wallet, epoch, seq, old } of leases) {
      if (begun.has(wallet)) assert.deepEqual(old && [old.epoch, old.seq], last.get(wallet), `turn ${turn} follows the one before`)
      begun.add(wallet)
      last.set(wallet, [epoch, seq])
    }
    for (const { wallet, seq, turn } of items) {
      if (seq !== undefined) assert.ok(commits.has(`${wallet} ${seq}`), `turn ${turn}: a row of seq ${seq}, which no commit has`)
    }
    return leases.filter(isClaim)
  }
}

const isClaim = ({ epoch, old }) => old !== undefined && epoch !== old.epoch

const hex = (bytes) => bytes && bytes.toString('hex')
