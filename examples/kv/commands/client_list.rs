//! CLIENT, of all clients: who is here, and who has to go.

use heirloom::{ConnId, Connection};

use super::super::{
    pubsub::Topic,
    resp::integer,
    session::{Session, Transaction},
};
use super::{Answer, Call, Capitals, SYNTAX, monitor::address};

pub fn info(call: &mut Call<'_, '_>) -> Answer {
    let line = Seen::me(call).line;
    call.out.text(line.as_bytes());
    Ok(())
}

/// One line for each, in the order in which they came.
pub fn list(call: &mut Call<'_, '_>) -> Answer {
    let filter = match call.args.get(2).map(Capitals::of) {
        None => Filter::default(),
        Some(word) if matches!(word.as_bytes(), b"ID") && call.args.len() > 3 => {
            let ids = call.args.from(3).map(|id| integer(id).filter(|&id| id > 0));
            let ids: Option<Vec<_>> = ids.collect();
            Filter { ids: Some(ids.ok_or(b"ERR Invalid client ID")?), ..Filter::default() }
        }
        Some(_) => Filter::parse(call, 2)?,
    };
    let clients = chosen(call, &filter);
    let text: String = clients.into_iter().map(|seen| seen.line).collect();
    call.out.text(text.as_bytes());
    Ok(())
}

/// Ends the one at an address, or all that a filter lets through, which are counted.
pub fn kill(call: &mut Call<'_, '_>) -> Answer {
    let is_old_form = call.args.len() == 3;
    let filter = match is_old_form {
        true => Filter { address: Some(call.args.at(2)), spares_me: false, ..Filter::default() },
        false => Filter::parse(call, 2)?,
    };
    let clients = chosen(call, &filter);
    match (is_old_form, clients.len()) {
        (true, 0) => return Err(b"ERR No such client".into()),
        (true, _) => call.out.ok(),
        (false, count) => call.out.int(count as i64),
    }
    for seen in &clients {
        match call.out.conn.other(seen.id) {
            Some(mut me) if seen.is_me => me.close(), // behind the reply
            Some(mut other) => other.abort(),
            None => {}
        }
    }
    Ok(())
}

/// Which clients are meant.
#[derive(Default)]
struct Filter<'a> {
    ids: Option<Vec<i64>>,
    address: Option<&'a [u8]>,
    local: Option<&'a [u8]>,
    kind: Option<&'static str>,
    spares_me: bool,
}

impl<'a> Filter<'a> {
    fn parse(call: &Call<'a, '_>, first: usize) -> Answer<Filter<'a>> {
        let is_kill = Capitals::of(call.args.at(1)).as_bytes() == b"KILL";
        let mut filter = Filter { spares_me: is_kill, ..Filter::default() };
        let mut words = call.args.from(first);
        while let Some(word) = words.next() {
            let value = words.next().ok_or(SYNTAX)?;
            match (Capitals::of(word).as_bytes(), is_kill) {
                (b"TYPE", _) => filter.kind = Some(kind_named(value)?),
                (b"ID", true) => {
                    let id = integer(value).filter(|&id| id > 0);
                    filter.ids = Some(vec![id.ok_or(b"ERR client-id should be greater than 0")?]);
                }
                (b"ADDR", true) => filter.address = Some(value),
                (b"LADDR", true) => filter.local = Some(value),
                (b"USER", true) if value == b"default" => {}
                (b"USER", true) => {
                    return Err([b"ERR No such user '", value, b"'"].concat().into());
                }
                (b"SKIPME", true) => {
                    filter.spares_me = match Capitals::of(value).as_bytes() {
                        b"YES" => true,
                        b"NO" => false,
                        _ => return Err(SYNTAX),
                    }
                }
                _ => return Err(SYNTAX),
            }
        }
        Ok(filter)
    }

    fn takes(&self, seen: &Seen) -> bool {
        let is = |wanted: Option<&[u8]>, text: &str| wanted.is_none_or(|w| w == text.as_bytes());
        !(self.spares_me && seen.is_me)
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&(seen.number as i64)))
            && self.kind.is_none_or(|kind| kind == seen.kind)
            && is(self.address, &seen.address)
            && is(self.local, &seen.local)
    }
}

/// There are no other servers among the clients.
fn kind_named(name: &[u8]) -> Answer<&'static str> {
    let kinds = ["normal", "pubsub", "master", "replica"];
    let name = if name.eq_ignore_ascii_case(b"slave") { b"replica" } else { name };
    let kind = kinds.into_iter().find(|kind| name.eq_ignore_ascii_case(kind.as_bytes()));
    kind.ok_or_else(|| [b"ERR Unknown client type '", name, b"'"].concat().into())
}

/// What is known of a client.
struct Seen {
    id: ConnId,
    is_me: bool,
    number: u64,
    kind: &'static str,
    address: String,
    local: String,
    line: String,
}

impl Seen {
    fn me(call: &mut Call<'_, '_>) -> Seen {
        let now = call.state.wall.millis(call.now);
        Seen::of(call.out.conn, call.session, Some(call.args.bytes()), now)
    }

    /// `input` is the command that is being carried out, and nobody else's.
    fn of(
        conn: &mut Connection<'_>,
        session: &mut Session,
        input: Option<usize>,
        now: i64,
    ) -> Seen {
        let local = conn.local().map_or("/unix:0".to_owned(), |local| local.to_string());
        let mut seen = Seen {
            id: conn.id(),
            is_me: input.is_some(),
            number: session.number,
            kind: if session.subscriptions.len() > 0 { "pubsub" } else { "normal" },
            address: address(conn.peer()),
            local,
            line: String::new(),
        };
        seen.line = seen.describe(session, input.unwrap_or_default(), conn.queued(), now);
        seen
    }

    /// In the words of Redis, and with all of them, as programs read them. What nobody measures here is 0.
    fn describe(&self, session: &mut Session, input: usize, output: usize, now: i64) -> String {
        let [sub, psub] =
            [Topic::Channel, Topic::Pattern].map(|topic| session.subscriptions.of(topic).len());
        let queue = session.transaction.as_ref();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let command = match session.last {
            [] => "NULL".to_owned(), // as of one that has said nothing yet
            name => text(name).to_ascii_lowercase(),
        };
        format!(
            "id={id} addr={address} laddr={local} fd=-1 name={name} age={age} idle={idle} flags={flags} db=0 \
             sub={sub} psub={psub} ssub=0 multi={multi} qbuf={input} qbuf-free=0 argv-mem=0 \
             multi-mem={memory} rbs=0 rbp=0 obl=0 oll=0 omem={output} tot-mem={total} events=r \
             cmd={command} user=default redir=-1 resp={version} lib-name={library} lib-ver={release} \
             watch={watch}\n",
            id = self.number,
            address = self.address,
            local = self.local,
            name = text(&session.name),
            age = now.saturating_sub(session.since) / 1000,
            idle = now.saturating_sub(session.active) / 1000,
            flags = flags(session),
            multi = queue.map_or(-1, |queue| queue.len as i64),
            memory = queue.map_or(0, Transaction::size),
            total = input + output + queue.map_or(0, Transaction::size),
            version = session.version.number(),
            library = text(&session.library[0]),
            release = text(&session.library[1]),
            watch = session.watched.len(),
        )
    }
}

fn flags(session: &Session) -> String {
    let flags = [
        (session.is_monitor, 'O'),
        (session.subscriptions.len() > 0, 'P'),
        (session.transaction.is_some(), 'x'),
    ];
    let mut letters: String = flags.into_iter().filter(|flag| flag.0).map(|flag| flag.1).collect();
    if letters.is_empty() {
        letters.push('N');
    }
    letters
}

/// All that the filter lets through, in the order in which they came.
fn chosen(call: &mut Call<'_, '_>, filter: &Filter<'_>) -> Vec<Seen> {
    let now = call.state.wall.millis(call.now);
    let mut clients = vec![Seen::me(call)];
    for id in call.out.conn.net.ids() {
        let seen = call
            .out
            .conn
            .net
            .with(id, |conn, session: &mut Session| Seen::of(conn, session, None, now));
        clients.extend(seen);
    }
    clients.retain(|seen| filter.takes(seen));
    clients.sort_by_key(|seen| seen.number);
    clients
}
