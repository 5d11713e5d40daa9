//! Commands of those who listen, and the one of those who speak.

use std::rc::Rc;

use heirloom::{ConnId, Connection};

use super::super::{pubsub::Topic, resp};
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
            call.state.hub.join(topic, name, call.conn.id());
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
            call.state.hub.leave(topic, name, call.conn.id());
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
    resp::array(call.conn, 3);
    resp::bulk(call.conn, what);
    resp::bulk_or_null(call.conn, name);
    resp::int(call.conn, call.session.subscriptions.len() as i64);
}

/// Whoever listens to the channel and to a pattern that it matches hears it twice, as with Redis.
pub fn publish(call: &mut Call<'_, '_>) -> Answer {
    let (channel, text, hub) = (call.args.at(1), call.args.at(2), &call.state.hub);
    let mut heard = 0;
    let mut subscribers = hub.subscribers(channel).peekable();
    if subscribers.peek().is_some() {
        let words = message(&[b"message", channel, text]);
        heard += subscribers.filter(|&id| deliver(call.conn, id, &words)).count();
    }
    for (pattern, ids) in hub.matching(channel) {
        let words = message(&[b"pmessage", pattern, channel, text]);
        heard += ids.iter().filter(|&&id| deliver(call.conn, id, &words)).count();
    }
    resp::int(call.conn, heard as i64);
    Ok(())
}

fn message(words: &[&[u8]]) -> Rc<[u8]> {
    let mut bytes = Vec::new();
    resp::array(&mut bytes, words.len());
    for word in words {
        resp::bulk(&mut bytes, word);
    }
    bytes.into()
}

fn deliver(conn: &mut Connection<'_>, id: ConnId, words: &Rc<[u8]>) -> bool {
    let Some(mut listener) = conn.other(id) else { return false };
    if listener.queued() > MAX_BEHIND {
        log::info!("{id} listens too slowly");
        listener.abort();
        return false;
    }
    listener.send_shared(Rc::clone(words));
    true
}
