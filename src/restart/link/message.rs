//! What generations say to each other, as values and as bytes. Pure: no descriptor, no clock.

use std::time::Duration;

use super::{
    alarm_word::AlarmWord,
    forwarded::{Forwarded, forwarded, put_forwarded},
    identity::{Identity, OWN_GENERATION, PID, engine, process_id},
    notice::Notice,
    report::{CONNECTIONS, Report},
    rollback::{Rollback, put_reason},
    socket_name::{SocketName, put_sockets, sockets},
    talk::Talk,
    way_back::WayBack,
    wire::{self, Fields, Malformed, put, put_number, put_time},
    workplace::{put_supervisor, worker},
};
use crate::{plan::Engine, workers::Worker};

/// No message is longer. The longest is a batch of listener names: 253 of them, 255 bytes each.
pub(crate) const MESSAGE_MAX: usize = 128 * 1024;

/// One message. The descriptors that go with it travel beside it (see `channel`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Old to new, first, and alone on the link that a program is started with: who you are to be, and who I
    /// am. With it: the stderr to use once you have committed, the pipe by which I hear yours until then,
    /// and my pidfd.
    Hello {
        generation: u64,
        engine: Engine,
        /// Commit when you have served this long.
        probation: Duration,
        /// So long I wait for you to be ready, and may be busy with what you are to get.
        ready_within: Duration,
        /// So long the copy of the state may take, which does not count there.
        copy_within: Duration,
        /// How you hand back, should you not stay.
        back: Option<WayBack>,
        old: Identity,
    },
    /// New program to old, in answer: I am here, as this process; speak to me on this one from now on. With
    /// it: the end of a link that nobody else has the other end of.
    Connect { pid: u32 },
    /// Old to new: listening sockets, what they are called for each descriptor that comes along.
    Listeners { sockets: Vec<SocketName> },
    /// Old to new: an older generation that still drains. With it: the link to it.
    Older { who: Identity },
    /// Old to new: that was all for now.
    Offered,
    /// New to old: my `main` has run, and I am still the same process; give me the rest. I do not want the
    /// sockets at these places of what you have offered, and read records up to this version.
    Claim { pid: u32, unwanted: Vec<u64>, records: u64 },
    /// Old to new: what the service saves comes out of the pipe whose end is with it.
    Snapshot,
    /// New to old: I have read all of it, so many bytes.
    Loaded { bytes: u64 },
    /// Old to new: what has changed since, or some of it, in a memfd.
    Changes,
    /// New to old: I have applied such a piece, which took so long.
    Applied { took: Duration },
    /// Old to new: that was all of the state; and the number of the connection that came last by then. From here
    /// on the new side has what it needs to serve, should this be the last word.
    Copied { last_serial: u64 },
    /// Old to new, or back: this many connections: their sockets, what holds the keys of those with TLS if there are any, and
    /// a memfd with their records.
    Connections { count: u64 },
    /// In answer: I have taken a batch of them.
    Taken,
    /// New to old, once it is released: from here on they are mine.
    TakenOver,
    /// Old to new: that was all; the number of the connection that came last, and where the slots begin that
    /// you may give out.
    Handed { last_serial: u64, slots: u64 },
    /// New to old: I can serve.
    Ready { pid: u32 },
    /// New to old: I cannot serve.
    Failed { reason: String },
    /// Old to new: I have heard that, and am about to stop; my service may take a while.
    Retiring,
    /// Old to new: I have stopped accepting, it is yours.
    Released,
    /// New to old: my service has begun, so long after `TakenOver`, and from now on it has to prove itself.
    Serving { after: Duration },
    /// New to old: I serve and will stay. You may go.
    Committed,
    /// Of a roll back, which the new side begins instead.
    Rollback(Rollback),
    /// Old to new, at the end of one: I serve again.
    Resumed,
    /// Old to new: I do without you, and you serve nobody. What is left of you is killed.
    GivenUp,
    /// To a generation that shall leave, within this time if there is one: the service ends, or I serve on, and
    /// that is my number. It is not to begin before this other time is over, if there is one: I accept until then.
    Dismissed { within: Option<Duration>, serves: Option<u64>, after: Option<Duration> },
    /// The newest to an older one: how are you?
    Ask,
    /// In answer.
    Report(Report),
    /// Old to new: this process supervises you, and the others where you are one of several. With it: the way to it.
    Supervisor { pid: u32, worker: Option<Worker> },
    /// Old to new, and to the supervisor: with it comes the memory in which all generations count.
    Numbers,
    /// A generation to its supervisor.
    Notice(Notice),
    /// To the supervisor: keep what my service has saved; or back, to a first generation. With it: a memfd.
    Checkpoint,
    /// The newest to an older one: these are of your flows.
    Datagrams { forwarded: Vec<Forwarded> },
    /// Old to new, or back: the keys of the tickets that were given out. With it: what holds them.
    TicketKeys,
    /// Old to new, before the state: my alarms. New to old, until it has committed: what is new about them.
    Alarms(Vec<AlarmWord>),
    /// Of what services tell each other.
    Talk(Talk),
}

// Kinds and tags are never given a second meaning; others are in `identity`, `notice`, `report`, `rollback`, `talk`, `way_back` and `workplace`.
// (3 was a state in a memfd.)
const HELLO: u16 = 1;
const LISTENERS: u16 = 2;
const OFFERED: u16 = 4;
const READY: u16 = 5;
const FAILED: u16 = 6;
const RELEASED: u16 = 7;
const COMMITTED: u16 = 8;
const BATCH: u16 = 9;
const OLDER: u16 = 10;
const RESUMED: u16 = 12;
const DISMISSED: u16 = 13;
const ASK: u16 = 14;
const REPORT: u16 = 15;
const CLAIM: u16 = 16;
const TAKEN: u16 = 17;
const HANDED: u16 = 18;
const TAKEN_OVER: u16 = 19;
const CONNECT: u16 = 25;
const GIVEN_UP: u16 = 26;
const SUPERVISOR: u16 = 20;
const CHECKPOINT: u16 = 33;
const RETIRING: u16 = 27;
const SERVING: u16 = 28;
const DATAGRAMS: u16 = 30;
const ALARMS: u16 = 40;
const TICKET_KEYS: u16 = 50;
const SNAPSHOT: u16 = 60;
const NUMBERS: u16 = 71;
const LOADED: u16 = 61;
const CHANGES: u16 = 62;
const APPLIED: u16 = 63;
const COPIED: u16 = 64;

const GENERATION: u16 = 1;
const ENGINE: u16 = 2;
const LAST_SERIAL: u16 = 3;
const REASON: u16 = 6;
/// A time in microseconds, like the tags below it.
const PROBATION: u16 = 7;
const WITHIN: u16 = 8;
// 9 to 13 are a report's, 14 and 15 an identity's.
const READY_WITHIN: u16 = 16;
const AFTER: u16 = 17;
const ALARM: u16 = 40;
const UNWANTED: u16 = 50;
const COPY_WITHIN: u16 = 60;
const BYTES: u16 = 61;
const TOOK: u16 = 62;
const RECORDS: u16 = 92;
const SLOTS: u16 = 86;

impl Message {
    /// The message as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = wire::begin(self.kind());
        match self {
            Message::Hello { .. } => self.put_hello(&mut out),
            Message::Listeners { sockets } => put_sockets(&mut out, sockets),
            Message::Older { who } => who.put(&mut out),
            Message::Connect { pid } | Message::Ready { pid } => {
                put_number(&mut out, PID, u64::from(*pid));
            }
            Message::Supervisor { pid, worker } => put_supervisor(&mut out, *pid, *worker),
            Message::Notice(word) => word.put(&mut out),
            Message::Failed { reason } => put_reason(&mut out, reason),
            Message::Rollback(word) => word.put(&mut out),
            Message::Talk(talk) => talk.put(&mut out),
            Message::Dismissed { .. } => self.put_dismissed(&mut out),
            Message::Serving { after } => put_time(&mut out, AFTER, *after),
            Message::Datagrams { forwarded } => put_forwarded(&mut out, forwarded),
            Message::Connections { count } => put_number(&mut out, CONNECTIONS, *count),
            Message::Loaded { bytes } => put_number(&mut out, BYTES, *bytes),
            Message::Applied { took } => put_time(&mut out, TOOK, *took),
            Message::Copied { last_serial } => put_number(&mut out, LAST_SERIAL, *last_serial),
            Message::Handed { last_serial, slots } => {
                put_number(&mut out, LAST_SERIAL, *last_serial);
                put_number(&mut out, SLOTS, *slots);
            }
            Message::Report(report) => report.put(&mut out),
            Message::Alarms(words) => AlarmWord::put_all(&mut out, ALARM, words),
            Message::Claim { pid, unwanted, records } => {
                put_number(&mut out, PID, u64::from(*pid));
                put_number(&mut out, RECORDS, *records);
                unwanted.iter().for_each(|place| put_number(&mut out, UNWANTED, *place));
            }
            Message::Offered
            | Message::Snapshot
            | Message::Changes
            | Message::Taken
            | Message::TakenOver
            | Message::Retiring
            | Message::Released
            | Message::Committed
            | Message::Resumed
            | Message::GivenUp
            | Message::TicketKeys
            | Message::Checkpoint
            | Message::Numbers
            | Message::Ask => {}
        }
        out
    }

    fn put_hello(&self, out: &mut Vec<u8>) {
        let Message::Hello { generation, engine, probation, ready_within, copy_within, back, old } =
            self
        else {
            return;
        };
        put_number(out, GENERATION, *generation);
        put(out, ENGINE, &[*engine as u8]);
        put_time(out, PROBATION, *probation);
        put_time(out, READY_WITHIN, *ready_within);
        put_time(out, COPY_WITHIN, *copy_within);
        back.iter().for_each(|back| back.put(out));
        old.put(out);
    }

    fn put_dismissed(&self, out: &mut Vec<u8>) {
        let Message::Dismissed { within, serves, after } = self else { return };
        within.iter().for_each(|time| put_time(out, WITHIN, *time));
        serves.iter().for_each(|number| put_number(out, OWN_GENERATION, *number));
        after.iter().for_each(|time| put_time(out, AFTER, *time));
    }

    fn kind(&self) -> u16 {
        match self {
            Message::Hello { .. } => HELLO,
            Message::Connect { .. } => CONNECT,
            Message::Listeners { .. } => LISTENERS,
            Message::Older { .. } => OLDER,
            Message::Offered => OFFERED,
            Message::Claim { .. } => CLAIM,
            Message::Snapshot => SNAPSHOT,
            Message::Loaded { .. } => LOADED,
            Message::Changes => CHANGES,
            Message::Applied { .. } => APPLIED,
            Message::Copied { .. } => COPIED,
            Message::Connections { .. } => BATCH,
            Message::Taken => TAKEN,
            Message::TakenOver => TAKEN_OVER,
            Message::Handed { .. } => HANDED,
            Message::Ready { .. } => READY,
            Message::Failed { .. } => FAILED,
            Message::Retiring => RETIRING,
            Message::Released => RELEASED,
            Message::Serving { .. } => SERVING,
            Message::Committed => COMMITTED,
            Message::Rollback(word) => word.kind(),
            Message::Talk(talk) => talk.kind(),
            Message::Resumed => RESUMED,
            Message::GivenUp => GIVEN_UP,
            Message::Dismissed { .. } => DISMISSED,
            Message::Ask => ASK,
            Message::Report(_) => REPORT,
            Message::Supervisor { .. } => SUPERVISOR,
            Message::Notice(word) => word.kind(),
            Message::Checkpoint => CHECKPOINT,
            Message::Datagrams { .. } => DATAGRAMS,
            Message::Alarms(_) => ALARMS,
            Message::TicketKeys => TICKET_KEYS,
            Message::Numbers => NUMBERS,
        }
    }

    /// The message in `bytes`; `None` for one of a kind that this program does not know.
    pub fn decode(bytes: &[u8]) -> Result<Option<Message>, Malformed> {
        let (kind, fields) = wire::open(bytes)?;
        Ok(Some(match kind {
            CONNECT => Message::Connect { pid: pid(fields)? },
            HELLO => hello(fields)?,
            LISTENERS => Message::Listeners { sockets: sockets(fields)? },
            OLDER => Message::Older { who: Identity::of(fields)? },
            OFFERED => Message::Offered,
            CLAIM => claim(fields)?,
            SNAPSHOT => Message::Snapshot,
            LOADED => Message::Loaded { bytes: fields.number(BYTES, "bytes")? },
            CHANGES => Message::Changes,
            APPLIED => Message::Applied { took: fields.time(TOOK, "time")? },
            COPIED => Message::Copied { last_serial: fields.number(LAST_SERIAL, "last serial")? },
            BATCH => Message::Connections { count: fields.number(CONNECTIONS, "connections")? },
            TAKEN => Message::Taken,
            TAKEN_OVER => Message::TakenOver,
            HANDED => Message::Handed {
                last_serial: fields.number(LAST_SERIAL, "last serial")?,
                slots: fields.maybe_number(SLOTS, "slots")?.unwrap_or_default(),
            },
            READY => Message::Ready { pid: pid(fields)? },
            FAILED => Message::Failed { reason: fields.text(REASON, "reason")? },
            RETIRING => Message::Retiring,
            RELEASED => Message::Released,
            SERVING => Message::Serving { after: fields.time(AFTER, "time")? },
            COMMITTED => Message::Committed,
            RESUMED => Message::Resumed,
            GIVEN_UP => Message::GivenUp,
            DISMISSED => Message::Dismissed {
                within: fields.maybe_time(WITHIN, "time")?,
                serves: fields.maybe_number(OWN_GENERATION, "own generation")?,
                after: fields.maybe_time(AFTER, "time")?,
            },
            ASK => Message::Ask,
            REPORT => Message::Report(Report::of(fields)?),
            SUPERVISOR => Message::Supervisor { pid: pid(fields)?, worker: worker(fields)? },
            CHECKPOINT => Message::Checkpoint,
            DATAGRAMS => Message::Datagrams { forwarded: forwarded(fields)? },
            TICKET_KEYS => Message::TicketKeys,
            NUMBERS => Message::Numbers,
            ALARMS => Message::Alarms(AlarmWord::all_of(fields, ALARM)?),
            _ => return other(kind, fields),
        }))
    }
}

/// One of those that have a file of their own.
fn other(kind: u16, fields: Fields<'_>) -> Result<Option<Message>, Malformed> {
    if let Some(talk) = Talk::of(kind, fields)? {
        return Ok(Some(Message::Talk(talk)));
    }
    if let Some(notice) = Notice::of(kind, fields)? {
        return Ok(Some(Message::Notice(notice)));
    }
    Ok(Rollback::of(kind, fields)?.map(Message::Rollback))
}

/// An older program does not say how long it waits.
fn hello(fields: Fields<'_>) -> Result<Message, Malformed> {
    Ok(Message::Hello {
        generation: fields.number(GENERATION, "generation")?,
        engine: engine(fields.one(ENGINE, "engine")?)?,
        probation: fields.time(PROBATION, "probation")?,
        ready_within: fields.maybe_time(READY_WITHIN, "time")?.unwrap_or_default(),
        copy_within: fields.maybe_time(COPY_WITHIN, "time")?.unwrap_or_default(),
        back: WayBack::read(fields)?,
        old: Identity::of(fields)?,
    })
}

fn claim(fields: Fields<'_>) -> Result<Message, Malformed> {
    let unwanted = fields.numbers(UNWANTED, "unwanted")?;
    // The first programs did not say.
    let records = fields.maybe_number(RECORDS, "records")?.unwrap_or(1);
    Ok(Message::Claim { pid: pid(fields)?, unwanted, records })
}

fn pid(fields: Fields<'_>) -> Result<u32, Malformed> {
    process_id(fields, PID, "pid")
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
