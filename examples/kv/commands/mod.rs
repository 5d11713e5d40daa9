//! How a command is found, whether it may be used now, and what it has at hand. What each does is in the files
//! beside, by theme.

mod catalogue;
mod client;
mod client_list;
mod config;
mod connection;
mod expiry;
mod fault;
mod info;
mod keys;
mod listen;
mod monitor;
mod numbers;
mod server;
mod set;
mod strings;
mod table;
mod transactions;

use std::{collections::BTreeSet, time::Instant};

use heirloom::{ConnId, Connection, Net};

pub use self::fault::{Answer, Capitals, Fault, NOT_AN_INTEGER, SYNTAX};
use self::table::{AT_ONCE, CONTAINER, SUBSCRIBED, Spec};
use super::{
    out::{Out, Version},
    pubsub::Hub,
    request::Args,
    session::{Replies, Session},
    store::Store,
    wall::Wall,
};

/// What all connections share.
pub struct State {
    pub store: Store,
    pub hub: Hub,
    /// Who is shown every command.
    pub monitors: BTreeSet<ConnId>,
    pub wall: Wall,
    /// Clients so far, which is also the number of the last one.
    pub clients: u64,
    /// Commands so far.
    pub commands: u64,
    /// When this program was started, by whatever generation.
    pub since: Instant,
    /// The moment of the last command, and its millisecond: those of one turn have it in common.
    pub moment: (Instant, i64),
}

impl State {
    pub fn new() -> State {
        let (now, wall) = (Instant::now(), Wall::now());
        State {
            store: Store::new(),
            hub: Hub::default(),
            monitors: BTreeSet::new(),
            wall,
            clients: 0,
            commands: 0,
            since: now,
            moment: (now, wall.millis(now)),
        }
    }

    /// Milliseconds since 1970.
    fn millis(&mut self, now: Instant) -> i64 {
        if self.moment.0 != now {
            self.moment = (now, self.wall.millis(now));
        }
        self.moment.1
    }

    pub fn begin(&mut self, now: Instant) -> Session {
        self.clients += 1;
        let since = self.wall.millis(now);
        Session { number: self.clients, since, active: since, ..Session::default() }
    }

    /// A connection has come from another process, with what it remembers.
    pub fn arrive(&mut self, session: &Session, is_spoiled: bool, id: ConnId) {
        self.join(session, id);
        self.store.watches.spoil(session.number, is_spoiled);
    }

    fn join(&mut self, session: &Session, id: ConnId) {
        self.hub.join_all(&session.subscriptions, id);
        if session.is_monitor {
            self.monitors.insert(id);
        }
        for key in session.watched.keys() {
            self.store.rewatch(key, session.number);
        }
    }

    /// A connection is gone, or knows nothing of all this any more.
    pub fn leave(&mut self, session: &Session, id: ConnId) {
        self.hub.leave_all(&session.subscriptions, id);
        self.monitors.remove(&id);
        for key in session.watched.keys() {
            self.store.unwatch(key, session.number);
        }
    }

    /// Forgets everybody who is elsewhere by now.
    pub fn forget_absent(&mut self, net: &mut Net) {
        self.hub.retain(|id| net.get(id).is_some());
        self.monitors.retain(|&id| net.get(id).is_some());
        if !self.store.watches.is_empty() {
            let ids = net.ids().into_iter();
            let numbers = ids.filter_map(|id| Some(net.session::<Session>(id)?.number));
            let here: BTreeSet<u64> = numbers.collect();
            self.store.watches.retain(|client| here.contains(&client));
        }
    }

    /// Those who are here have been elsewhere, and have left there what they had begun here.
    pub fn look_anew(&mut self, net: &mut Net) {
        (self.hub, self.monitors) = Default::default();
        self.store.watches.begin_anew();
        for id in net.ids() {
            if let Some(session) = net.session::<Session>(id) {
                self.join(session, id);
            }
        }
    }
}

/// One command being carried out: what was asked, by whom, and all that there is.
pub struct Call<'a, 'conn> {
    /// The command's name, and what follows it.
    pub args: Args<'a>,
    pub out: Out<'a, 'conn>,
    pub session: &'a mut Session,
    pub state: &'a mut State,
    pub now: Instant,
}

impl<'a, 'conn> Call<'a, 'conn> {
    pub fn new(
        args: Args<'a>,
        conn: &'a mut Connection<'conn>,
        session: &'a mut Session,
        state: &'a mut State,
    ) -> Call<'a, 'conn> {
        let (now, is_mute) = (conn.now(), session.replies != Replies::On);
        let out = Out { version: session.version, is_mute, conn };
        Call { args, out, session, state, now }
    }
}

/// Carries out a command and queues its reply.
///
/// # Errors
/// When it is not meant for a server of this kind; the connection is to be closed.
pub fn run(mut call: Call<'_, '_>) -> heirloom::Result {
    if call.args.len() == 0 {
        return Ok(()); // an empty line; people type them
    }
    call.state.commands += 1;
    call.session.active = call.state.millis(call.now);
    if call.session.replies == Replies::SkipNext {
        call.session.replies = Replies::On;
    }
    let found = find(call.args).and_then(|spec| permit(spec, &call).map(|()| spec));
    let transaction = call.session.transaction.as_mut();
    match (found, transaction) {
        (Err(_), _) if fault::is_of_a_browser(call.args) => {
            return Err("ended by a request of another protocol".into());
        }
        (Err(fault), transaction) => {
            if let Some(transaction) = transaction {
                transaction.is_broken = true;
            }
            call.out.error(&fault);
        }
        (Ok(spec), Some(transaction)) if !spec.is(AT_ONCE) => match transaction.push(call.args) {
            true => call.out.simple("QUEUED"),
            false => call.out.error(b"ERR transaction is too long"),
        },
        (Ok(spec), _) => carry_out(spec, &mut call),
    }
    Ok(())
}

fn carry_out(spec: &'static Spec, call: &mut Call<'_, '_>) {
    call.session.last = spec.name;
    if let Err(fault) = (spec.run)(call) {
        call.out.error(&fault);
    }
    monitor::show(spec, call);
}

/// The command that is meant, or for one with subcommands which of these.
fn find(args: Args<'_>) -> Answer<&'static Spec> {
    let name = args.at(0);
    let Some(spec) = table::named(name) else { return Err(fault::unknown_command(args)) };
    if spec.is(CONTAINER)
        && let Some(sub) = args.get(1)
    {
        return table::sub_named(name, sub).ok_or_else(|| fault::unknown_subcommand(name, sub));
    }
    Ok(spec)
}

/// Whether it may be carried out now, with so many arguments.
fn permit(spec: &Spec, call: &Call<'_, '_>) -> Answer {
    let given = call.args.len() as i32;
    if given != spec.arity && (spec.arity > 0 || given < -spec.arity) {
        return Err(fault::wrong_arity(spec));
    }
    let is_subscriber = call.session.subscriptions.len() > 0;
    if is_subscriber && call.session.version == Version::Two && !spec.is(SUBSCRIBED) {
        return Err(fault::of_a_subscriber(spec));
    }
    Ok(())
}
