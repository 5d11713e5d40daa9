//! The feature `serde`: ids and names are plain data to any codec, and an id that a service has written down
//! leads to its connection in the next program.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    io::{BufRead, Write},
    time::Duration,
};

use heirloom::{
    Alarm, Backoff, ConnId, Connection, DatagramPeer, Deferred, Engine, Error, Origin, Peer,
    PendingAlarm, Result, Service, SocketId, Timer, Watch, testing::Harness,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The same after a codec that describes itself, and after one that does not.
fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, text: &str) {
    assert_eq!(serde_json::to_string(&value).unwrap(), text);
    assert_eq!(serde_json::from_str::<T>(text).unwrap(), value);
    let bytes = postcard::to_stdvec(&value).unwrap();
    assert_eq!(postcard::from_bytes::<T>(&bytes).unwrap(), value);
}

/// What they look like is part of what a service writes: a new version of this crate reads it.
#[test]
fn every_type_is_itself_again() {
    round_trip(ConnId::from_bits(0x0100_0003), "16777219");
    round_trip((Timer(1), Alarm(2), Deferred(3), SocketId(4), Watch(5)), "[1,2,3,4,5]");
    let left = Duration::from_millis(1500);
    round_trip(
        PendingAlarm { key: Alarm(7), left, every: None },
        r#"{"key":7,"left":{"secs":1,"nanos":500000000},"every":null}"#,
    );
    round_trip(DatagramPeer::Udp(([127, 0, 0, 1], 53).into()), r#"{"Udp":"127.0.0.1:53"}"#);
    round_trip(
        DatagramPeer::UdpVia { peer: ([127, 0, 0, 1], 53).into(), local: [127, 0, 0, 2].into() },
        r#"{"UdpVia":{"peer":"127.0.0.1:53","local":"127.0.0.2"}}"#,
    );
    round_trip(DatagramPeer::Unix("/run/it".into()), r#"{"Unix":"/run/it"}"#);
    round_trip(DatagramPeer::Abstract(vec![1, 2]), r#"{"Abstract":[1,2]}"#);
    round_trip(Peer::Tcp(([127, 0, 0, 1], 53).into()), r#"{"Tcp":"127.0.0.1:53"}"#);
    round_trip(Peer::Unix { pid: 1, uid: 2, gid: 3 }, r#"{"Unix":{"pid":1,"uid":2,"gid":3}}"#);
    round_trip(Origin::Accepted { listener: 1 }, r#"{"Accepted":{"listener":1}}"#);
    round_trip(Origin::Dialed { tag: 9 }, r#"{"Dialed":{"tag":9}}"#);
    round_trip((Engine::Fork, Engine::ForkExec), r#"["Fork","ForkExec"]"#);
}

/// Not only the settings: it goes on where it was.
#[test]
fn a_backoff_goes_on() {
    let mut backoff = Backoff::seeded(Duration::from_secs(1), Duration::from_secs(60), 7);
    backoff.next_delay();
    let mut copy: Backoff = postcard::from_bytes(&postcard::to_stdvec(&backoff).unwrap()).unwrap();
    for _ in 0..9 {
        assert_eq!(copy.next_delay(), backoff.next_delay());
    }
    assert_eq!(copy.tries(), 10);
}

/// Whoever says a name is who is called by it: `!name` rings there.
#[derive(Default, Serialize, Deserialize)]
struct Bells(BTreeMap<String, ConnId>);

impl Service for Bells {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        let word = String::from_utf8_lossy(input);
        match word.strip_prefix('!') {
            None => drop(self.0.insert(word.into_owned(), conn.id())),
            Some(name) => {
                let id = self.0[name];
                match conn.net.get(id) {
                    Some(mut called) => called.send(b"ring"),
                    None => conn.send(b"gone"),
                }
            }
        }
        Ok(input.len())
    }

    fn save(&self, out: &mut dyn Write) -> Result {
        postcard::to_io(self, out).map_err(Error::other)?;
        Ok(())
    }

    fn load(&mut self, saved: &mut dyn BufRead) -> Result {
        let mut bytes = Vec::new();
        saved.read_to_end(&mut bytes)?;
        *self = postcard::from_bytes(&bytes).map_err(Error::other)?;
        Ok(())
    }

    fn export(&self, _session: &()) -> Option<Vec<u8>> {
        Some(Vec::new())
    }

    fn import(&mut self, _conn: &mut Connection<'_>, _saved: &[u8]) -> Result {
        Ok(())
    }
}

#[test]
fn an_id_that_was_written_down_leads_to_its_connection() {
    let mut harness = Harness::new(Bells::default());
    let peers = ["ann", "bob", "cid"].map(|name| {
        let peer = harness.connect();
        harness.feed(peer, name.as_bytes());
        peer
    });
    harness.finish(peers[2]);
    let mut harness = harness.restart(Bells::default()).unwrap();
    harness.feed(peers[0], b"!bob");
    assert_eq!(harness.take(peers[1]), b"ring");
    harness.feed(peers[1], b"!ann");
    assert_eq!(harness.take(peers[0]), b"ring");
    let late = harness.connect(); // has the place of the one that has gone
    harness.feed(late, b"!cid");
    assert_eq!(harness.take(late), b"gone");
}
