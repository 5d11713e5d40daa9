//! A callback reaches what other connections remember: who says that it is somebody takes over from whoever was
//! that before, whatever process has begun which of the two, and a panic loses no session that was lent.

use std::{collections::HashMap, time::Duration};

use crate::common::{
    Client, Server, Setup,
    ops::{Operated, newcomer},
    restart::Engine,
    wait_for,
};
use heirloom::{Alarm, ConnId, Connection, Net, Origin, Reason, Result, Service, testing::Harness};

/// Longer than any of these tests: no commit comes by itself.
const LONG: u64 = 60_000;

/// A lab whose connections move, and whose new sides prove themselves at once.
fn lab() -> Setup {
    Server::of("lab").env("LAB_MOVE", 1).env("LAB_PROBATION", 0).env("LAB_IDLE", 600_000)
}

/// Somebody of that name, who has something.
fn holder(mut client: Client, name: &str, bag: &str) -> Client {
    assert_eq!(client.ask(&format!("i-am {name}")), "first");
    assert_eq!(client.ask(&format!("pack {bag}")), "ok");
    client
}

/// Of the one whose place another has taken.
fn assert_taken_over(mut client: Client) {
    assert_eq!(client.line(), "taken over");
    assert_eq!(client.read_to_end().expect("a FIN"), b"");
}

/// Before the restart or behind it, by an old client or by a new one.
fn a_name_is_taken_over_with_all_that_belongs_to_it(engine: Engine) {
    let server = lab().start();
    let first = holder(server.connect(), "ann", "letters");
    let mut other = server.connect();
    assert_eq!(other.ask("bag-of ann"), "letters");
    server.restart(engine.signal());
    assert_eq!(other.ask("bag-of ann"), "letters", "what moved is found under its name");
    let mut second = server.connect();
    assert_eq!(second.ask("i-am ann"), "took letters");
    assert_taken_over(first);
    assert_eq!(other.ask("ended"), "ann:", "nothing was left in it");
    server.restart(engine.signal());
    assert_eq!(other.ask("i-am ann"), "took letters");
    assert_taken_over(second);
    assert_eq!(other.ask("bag"), "letters");
    assert_eq!(other.ask("myself"), "lent");
    assert_eq!(other.ask("remind ann x"), "nobody", "its own session is not in there");
}

/// The old process has a map of its own, from before: what is in there must be true again.
fn a_takeover_outlives_a_roll_back(engine: Engine) {
    let lab = Operated::with(LONG, |setup| setup.env("LAB_MOVE", 1).env("LAB_IDLE", 600_000));
    let old = lab.pid();
    let first = holder(lab.connect(), "ann", "letters");
    let mut carl = holder(lab.connect(), "carl", "stones");
    let restart = lab.heirloom_later(&["restart", &format!("--{}", engine.name())]);
    wait_for("the new side to serve", || newcomer(&lab).pid != old);
    let mut second = lab.connect();
    assert_eq!(second.ask("i-am ann"), "took letters");
    assert_taken_over(first);
    assert_eq!(carl.ask("i-am cora"), "first");
    let ran = lab.heirloom(&["rollback"]);
    assert_eq!(ran.status, Some(0), "{ran:?}\n{}", lab.log());
    drop(restart.wait());
    assert_eq!(second.who().pid, old);
    let mut other = lab.connect();
    assert_eq!(other.ask("bag-of ann"), "letters");
    assert_eq!(other.ask("bag-of carl"), "nobody", "that is another name by now");
    assert_eq!(other.ask("i-am cora"), "took stones");
    assert_taken_over(carl);
}

/// Neither can the one who has stayed with the old process be found by the new one, nor does its name lead to
/// another connection there.
fn who_stays_behind_is_found_where_it_is(engine: Engine) {
    let server = Server::of("lab").env("LAB_PROBATION", 0).env("LAB_IDLE", 600_000).start();
    let mut ann = holder(server.connect(), "ann", "letters");
    let mut friend = server.connect();
    friend.ask("echo x"); // it was accepted
    server.restart(engine.signal());
    let mut other = server.connect();
    assert_eq!(other.ask("bag-of ann"), "nobody");
    assert_eq!(other.ask("i-am ann"), "first");
    assert_eq!(ann.ask("bag"), "letters");
    assert_eq!(friend.ask("bag-of ann"), "letters");
}

/// Also the alarm goes along.
fn an_alarm_reaches_every_session(engine: Engine) {
    let server = lab().start();
    let mut ann = holder(server.connect(), "ann", "letters");
    let mut carl = holder(server.connect(), "carl", "stones");
    let mut other = server.connect();
    assert_eq!(other.ask("remind-all 300"), "ok");
    server.restart(engine.signal());
    for client in [&mut ann, &mut carl] {
        assert_eq!(client.line(), "by the alarm");
        assert_eq!(client.ask("bag"), "by the alarm");
    }
    assert_eq!(other.ask("bag"), "");
}

for_both_engines! {
    a_name_is_taken_over_with_all_that_belongs_to_it,
    a_takeover_outlives_a_roll_back,
    who_stays_behind_is_found_where_it_is,
    an_alarm_reaches_every_session,
}

#[test]
fn a_panic_leaves_each_session_as_its_borrower_has_left_it() {
    let server = lab().start();
    let mut ann = holder(server.connect(), "ann", "letters");
    let mut carl = holder(server.connect(), "carl", "stones");
    let mut other = server.connect();
    other.send("break-with ann gravel\n");
    assert_eq!(other.read_to_end().expect("a FIN"), b"");
    assert_eq!(ann.ask("bag"), "gravel", "whose session it was is served on");
    carl.send("break-own dust\n");
    assert_eq!(carl.read_to_end().expect("a FIN"), b"");
    assert_eq!(ann.ask("ended"), "carl:dust", "on_close has got it");
    assert_eq!(ann.ask("bag-of carl"), "nobody");
}

/// The same without processes, and what does not happen between two of them.
#[derive(Default)]
struct Names {
    by_name: HashMap<u8, ConnId>,
    /// What `on_close` has found: of itself, and of the one that has its name by now.
    ends: Vec<(bool, Option<String>)>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Session {
    name: u8,
    bag: String,
}

impl Service for Names {
    type Session = Session;

    fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result<Session> {
        assert!(conn.net.session::<Session>(conn.id()).is_none(), "it has none yet");
        Ok(Session::default())
    }

    /// An upper-case letter is a name, and a takeover; a lower-case one goes into the bag; `?` asks for the wrong
    /// type, `!` ends the one called `A` and looks for its session then.
    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        input: &[u8],
    ) -> Result<usize> {
        match input[0] {
            b'?' => drop(conn.net.session::<String>(conn.id())),
            b'!' => {
                let id = self.by_name[&b'A'];
                let gone = conn.net.with(id, |other, _: &mut Session| other.close());
                assert_eq!(gone, Some(()));
                assert_eq!(conn.net.session::<Session>(id), None, "it is on_close's by now");
                assert_eq!(conn.net.with(id, |_, _: &mut Session| ()), None);
            }
            name if name.is_ascii_uppercase() => {
                session.name = name;
                let Some(old) = self.by_name.insert(name, conn.id()) else { return Ok(1) };
                let taken = conn.net.with(old, |other, theirs: &mut Session| {
                    assert!(other.net.session::<Session>(other.id()).is_none(), "it is lent");
                    other.send(b"x");
                    other.close();
                    std::mem::take(&mut theirs.bag)
                });
                session.bag = taken.unwrap_or_default();
            }
            letter => session.bag.push(letter.into()),
        }
        Ok(1)
    }

    fn on_alarm(&mut self, net: &mut Net, _key: Alarm) {
        for id in net.ids() {
            net.session::<Session>(id).expect("all are in service").bag.push('*');
        }
    }

    fn on_close(&mut self, net: &mut Net, id: ConnId, session: Session, _why: Reason) {
        let own = net.session::<Session>(id).is_some();
        let heir = self.by_name.get(&session.name).copied();
        let heir = heir.and_then(|heir| net.session::<Session>(heir));
        self.ends.push((own, heir.map(|heir| heir.bag.clone())));
    }
}

#[test]
fn in_memory_it_is_the_same() {
    let mut harness = Harness::new(Names::default());
    let [old, new] = [harness.connect(), harness.connect()];
    harness.feed(old, b"Aab");
    harness.feed(new, b"Ac");
    assert_eq!(harness.take(old), b"x");
    assert!(harness.is_closed(old));
    assert_eq!(harness.session(old), None);
    assert_eq!(harness.session(new), Some(&mut Session { name: b'A', bag: "abc".to_owned() }));
    assert_eq!(harness.service().ends, [(false, Some("abc".to_owned()))]);
    harness.net().set_alarm(Alarm(0), Duration::from_secs(1));
    harness.advance(Duration::from_secs(1));
    assert_eq!(harness.session(new).expect("it is open").bag, "abc*");
}

#[test]
fn who_is_ended_by_a_callback_has_its_session_in_on_close_only() {
    let mut harness = Harness::new(Names::default());
    let [old, other] = [harness.connect(), harness.connect()];
    harness.feed(old, b"A");
    harness.feed(other, b"!");
    assert!(harness.is_closed(old) && !harness.is_closed(other));
    assert_eq!(harness.service().ends, [(false, None)]);
}

#[test]
fn who_asks_for_another_type_is_told_so_and_ends() {
    let mut harness = Harness::new(Names::default()).catch_panics();
    let (peer, other) = (harness.connect(), harness.connect());
    harness.feed(peer, b"?");
    assert!(harness.is_closed(peer) && !harness.is_closed(other));
    assert_eq!(harness.net().stats().panics, 1);
}
