//! What is asked of Redis, and what its answers mean. Pure: knows no socket and no job in hand.

use std::{collections::BTreeMap, fmt};

use super::{
    batch::fnv,
    reply::Reply,
    resp::{Sink, array, bulk},
};

const STREAM: &str = "jobs";
const GROUP: &str = "workers";
const DONE: &str = "jobs:done";
const FAILED: &str = "jobs:failed";

/// The number of an entry in a stream: milliseconds, and a count within them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId(pub u64, pub u64);

impl EntryId {
    fn parse(reply: &Reply<'_>) -> Read<EntryId> {
        let text = std::str::from_utf8(bytes(reply)?).map_err(|_| UNFIT)?;
        let (time, count) = text.split_once('-').ok_or(UNFIT)?;
        let number = |digits: &str| digits.parse().map_err(|_| UNFIT);
        Ok(EntryId(number(time)?, number(count)?))
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

/// A job as it stands in the stream: its `text` is hashed, then the hash, for some `rounds`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: EntryId,
    pub rounds: u64,
    /// Of the text.
    pub digest: u64,
}

/// One command. It is kept until its answer comes, to say what that is the answer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Makes the stream and the group, unless they are there.
    Group,
    /// The number that this connection has in Redis.
    Number,
    /// Jobs that nobody has, as soon as there are any.
    Fetch {
        count: usize,
        block_ms: u64,
    },
    /// Ends the waiting of another connection.
    Unblock {
        number: i64,
    },
    /// Jobs that somebody has had for so long that it must be dead.
    TakeOver {
        idle_ms: u64,
        from: EntryId,
        count: usize,
    },
    /// How often our jobs were delivered.
    Deliveries {
        first: EntryId,
        last: EntryId,
        count: usize,
    },
    /// We still have these jobs. Those whose lease has just begun are left alone: they may be another's.
    Renew {
        idle_ms: u64,
        entries: Vec<EntryId>,
    },
    /// The effect of a job.
    Record {
        entry: EntryId,
        deliveries: u64,
        digest: u64,
        failed: bool,
    },
    Acknowledge {
        entry: EntryId,
    },
    /// Whether Redis thinks that we still have jobs.
    Rest,
    /// Takes our name out of the group, and with it whatever it has: ask for the `Rest` before.
    Forget,
}

impl Request {
    /// Writes it as the consumer `me`. No word of it has a blank.
    pub fn write(&self, me: &str, out: &mut impl Sink) {
        let line = match self {
            Request::Group => format!("XGROUP CREATE {STREAM} {GROUP} 0 MKSTREAM"),
            Request::Number => "CLIENT ID".to_owned(),
            Request::Fetch { count, block_ms } => format!(
                "XREADGROUP GROUP {GROUP} {me} COUNT {count} BLOCK {block_ms} STREAMS {STREAM} >"
            ),
            Request::Unblock { number } => format!("CLIENT UNBLOCK {number}"),
            Request::TakeOver { idle_ms, from, count } => {
                format!("XAUTOCLAIM {STREAM} {GROUP} {me} {idle_ms} {from} COUNT {count}")
            }
            Request::Deliveries { first, last, count } => {
                format!("XPENDING {STREAM} {GROUP} {first} {last} {count} {me}")
            }
            Request::Renew { idle_ms, entries } => {
                let ids: String = entries.iter().map(|id| format!(" {id}")).collect();
                format!("XCLAIM {STREAM} {GROUP} {me} {idle_ms}{ids} JUSTID")
            }
            Request::Record { entry, deliveries, digest, failed } => {
                let list = if *failed { FAILED } else { DONE };
                format!("RPUSH {list} {entry},{me},{deliveries},{digest:016x}")
            }
            Request::Acknowledge { entry } => format!("XACK {STREAM} {GROUP} {entry}"),
            Request::Rest => format!("XPENDING {STREAM} {GROUP} - + 1 {me}"),
            Request::Forget => format!("XGROUP DELCONSUMER {STREAM} {GROUP} {me}"),
        };
        array(out, line.split(' ').count());
        line.split(' ').for_each(|word| bulk(out, word.as_bytes()));
    }

    /// Whether the answer brings jobs into our hands, or may.
    pub fn brings_jobs(&self) -> bool {
        matches!(self, Request::Fetch { .. } | Request::TakeOver { .. })
    }
}

/// What is said where Redis answers something else than it should.
const UNFIT: &str = "an answer that does not fit the question";

type Read<T> = Result<T, &'static str>;

/// The jobs in the answer to a [`Request::Fetch`]; none where the time ran out.
pub fn fetched(reply: &Reply<'_>) -> Read<Vec<Entry>> {
    match reply {
        Reply::Null => Ok(Vec::new()),
        Reply::Array(streams) => match streams.as_slice() {
            [Reply::Array(stream)] => entries(stream.get(1).ok_or(UNFIT)?),
            _ => Err(UNFIT),
        },
        _ => Err(UNFIT),
    }
}

/// The jobs in the answer to a [`Request::TakeOver`], and where to go on from. Those that somebody has
/// deleted from the stream stand in a third part, and are no longer anybody's.
pub fn taken_over(reply: &Reply<'_>) -> Read<(EntryId, Vec<Entry>)> {
    match items(reply)? {
        [next, jobs, ..] => Ok((EntryId::parse(next)?, entries(jobs)?)),
        _ => Err(UNFIT),
    }
}

/// The answer to a [`Request::Deliveries`].
pub fn deliveries(reply: &Reply<'_>) -> Read<BTreeMap<EntryId, u64>> {
    let count = |item: &Reply<'_>| match items(item)? {
        [id, _consumer, _idle, Reply::Int(count)] => {
            Ok((EntryId::parse(id)?, u64::try_from(*count).map_err(|_| UNFIT)?))
        }
        _ => Err(UNFIT),
    };
    items(reply)?.iter().map(count).collect()
}

/// The answer to a [`Request::Rest`].
pub fn is_rest_empty(reply: &Reply<'_>) -> Read<bool> {
    items(reply).map(<[Reply<'_>]>::is_empty)
}

pub fn number(reply: &Reply<'_>) -> Read<i64> {
    match reply {
        Reply::Int(number) => Ok(*number),
        _ => Err(UNFIT),
    }
}

fn entries(reply: &Reply<'_>) -> Read<Vec<Entry>> {
    let entry = |item: &Reply<'_>| match items(item)? {
        [id, fields] => Ok(job(EntryId::parse(id)?, items(fields)?)),
        _ => Err(UNFIT),
    };
    items(reply)?.iter().map(entry).collect()
}

/// Whatever somebody has put into the stream is a job: no `text` is an empty one, and `rounds` that are no
/// number are none.
fn job(id: EntryId, fields: &[Reply<'_>]) -> Entry {
    let field = |name: &[u8]| {
        let mut pairs = fields.chunks_exact(2);
        let pair = pairs.find(|pair| bytes(&pair[0]) == Ok(name))?;
        bytes(&pair[1]).ok()
    };
    let rounds = field(b"rounds").and_then(|digits| std::str::from_utf8(digits).ok());
    let rounds = rounds.and_then(|digits| digits.parse().ok()).unwrap_or_default();
    Entry { id, rounds, digest: fnv(field(b"text").unwrap_or_default()) }
}

fn items<'r, 'a>(reply: &'r Reply<'a>) -> Read<&'r [Reply<'a>]> {
    match reply {
        Reply::Array(items) => Ok(items),
        _ => Err(UNFIT),
    }
}

fn bytes<'a>(reply: &Reply<'a>) -> Read<&'a [u8]> {
    match reply {
        Reply::Bulk(bytes) => Ok(bytes),
        _ => Err(UNFIT),
    }
}
