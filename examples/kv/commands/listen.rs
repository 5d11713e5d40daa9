//! Commands of those who listen, and the one of those who speak.

use std::rc::Rc;

use heirloom::{ConnId, Connection};

use super::super::{glob, pubsub::Topic, resp, session::Session};
use super::{Answer, Call};

/// A listener that is so many bytes behind is cut off (Redis: `client-output-buffer-limit pubsub`,
/// 32 MB): what others say must not pile up without end.
const MAX_BEHIND: usize = 32 * 1024 * 1024;

impl Topic {
    fn joined(self) -> &'static [u8] {
        match self {
            Topic::Channel => b"subscribe",
            Topic::Pattern => b"psubscribe",
        }
    }

    fn left(self) -> &'static [u8] {
        match self {
            Topic::Channel => b"unsubscribe",
            Topic::Pattern => b"punsubscribe",
        }
    }
}

pub fn subscribe(call: &mut Call<'_, '_>) -> Answer {
    join(call, Topic::Channel)
}

pub fn psubscribe(call: &mut Call<'_, '_>) -> Answer {
    join(call, Topic::Pattern)
}

pub fn unsubscribe(call: &mut Call<'_, '_>) -> Answer {
    leave(call, Topic::Channel)
}

pub fn punsubscribe(call: &mut Call<'_, '_>) -> Answer {
    leave(call, Topic::Pattern)
}

fn join(call: &mut Call<'_, '_>, topic: Topic) -> Answer {
    for name in call.args.from(1) {
        if call.session.subscriptions.of(topic).insert(name.to_vec()) {
            call.state.hub.join(topic, name, call.out.conn.id());
        }
        confirm(call, topic.joined(), Some(name));
    }
    Ok(())
}

/// Leaves what is named, or everything.
fn leave(call: &mut Call<'_, '_>, topic: Topic) -> Answer {
    let all: Vec<Vec<u8>>;
    let mut names: Vec<&[u8]> = call.args.from(1).collect();
    if names.is_empty() {
        all = call.session.subscriptions.of(topic).iter().cloned().collect();
        names = all.iter().map(Vec::as_slice).collect();
    }
    for name in &names {
        if call.session.subscriptions.of(topic).remove(*name) {
            call.state.hub.leave(topic, name, call.out.conn.id());
        }
        confirm(call, topic.left(), Some(name));
    }
    if names.is_empty() {
        confirm(call, topic.left(), None);
    }
    Ok(())
}

/// What was done, to what, and how many subscriptions there are now.
fn confirm(call: &mut Call<'_, '_>, what: &[u8], name: Option<&[u8]>) {
    let count = call.session.subscriptions.len() as i64;
    call.out.push(|version, out| {
        version.push(out, 3);
        out.bulk(what);
        out.bulk_or_null(name);
        out.int(count);
    });
}

/// Whoever listens to the channel and to a pattern that it matches hears it twice, as with Redis.
pub fn publish(call: &mut Call<'_, '_>) -> Answer {
    let (channel, text, hub) = (call.args.at(1), call.args.at(2), &call.state.hub);
    let (conn, speaker) = (&mut *call.out.conn, &*call.session);
    let mut heard = 0;
    let words = [b"message", channel, text];
    let mut message = Message::new(&words);
    for id in hub.subscribers(channel) {
        heard += usize::from(message.deliver(conn, speaker, id));
    }
    for (pattern, ids) in hub.matching(channel) {
        let words = [b"pmessage", pattern, channel, text];
        let mut message = Message::new(&words);
        heard += ids.iter().filter(|&&id| message.deliver(conn, speaker, id)).count();
    }
    call.out.int(heard as i64);
    Ok(())
}

/// What many are to hear, written once for each version of the protocol.
struct Message<'a> {
    words: &'a [&'a [u8]],
    written: [Option<Rc<[u8]>>; 2],
}

impl<'a> Message<'a> {
    fn new(words: &'a [&'a [u8]]) -> Message<'a> {
        Message { words, written: [None, None] }
    }

    fn deliver(&mut self, conn: &mut Connection<'_>, speaker: &Session, id: ConnId) -> bool {
        let version = match id == conn.id() {
            true => Some(speaker.version), // whose session is lent to this very command
            false => conn.net.session::<Session>(id).map(|session| session.version),
        };
        let Some(version) = version else { return false };
        let written = self.written[version as usize].get_or_insert_with(|| {
            let mut bytes = Vec::new();
            version.push(&mut bytes, self.words.len());
            self.words.iter().for_each(|word| resp::bulk(&mut bytes, word));
            bytes.into()
        });
        send(conn, id, written)
    }
}

/// What is not asked for, to whoever is to hear it.
pub fn send(conn: &mut Connection<'_>, id: ConnId, bytes: &Rc<[u8]>) -> bool {
    let Some(mut listener) = conn.other(id) else { return false };
    if listener.queued() > MAX_BEHIND {
        log::info!("{id} listens too slowly");
        listener.abort();
        return false;
    }
    listener.send_shared(Rc::clone(bytes));
    true
}

/// Channels that somebody listens to.
pub fn channels(call: &mut Call<'_, '_>) -> Answer {
    let pattern = call.args.get(2).unwrap_or(b"*");
    let names = call.state.hub.channels().filter(|name| glob::matches(pattern, name));
    call.out.bulks(&names.collect::<Vec<_>>());
    Ok(())
}

/// How many listen to each.
pub fn numsub(call: &mut Call<'_, '_>) -> Answer {
    let names = call.args.from(2);
    call.out.array(2 * names.len());
    for name in names {
        call.out.bulk(name);
        call.out.int(call.state.hub.subscribers(name).count() as i64);
    }
    Ok(())
}

pub fn numpat(call: &mut Call<'_, '_>) -> Answer {
    call.out.int(call.state.hub.counts().1 as i64);
    Ok(())
}
