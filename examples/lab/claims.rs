//! The requests about who a client is, and what it does to what another one remembers. Knows no restart.
//!
//! A name leads to a connection, and that to its session. The map is in no record: it is made of those who arrive.

use std::{collections::BTreeMap, mem, time::Duration};

use heirloom::{Alarm, ConnId, Connection, Net, Result};

use crate::{
    requests::number,
    say,
    session::{Session, put},
};

/// Reminds everybody of `remind`.
const REMINDER: Alarm = Alarm(50);

/// In what a session is written down as.
pub const CLAIM: u8 = 20;

/// What a session says of it.
#[derive(Debug, Default)]
pub struct Claim {
    name: String,
    /// What goes over to the next one of that name.
    bag: String,
}

impl Claim {
    pub fn write(&self, out: &mut Vec<u8>) {
        if !self.name.is_empty() {
            put(out, CLAIM, format!("{} {}", self.name, self.bag).as_bytes());
        }
    }

    pub fn read(value: &[u8]) -> Claim {
        let text = String::from_utf8_lossy(value);
        let (name, bag) = text.split_once(' ').unwrap_or((&text, ""));
        Claim { name: name.to_owned(), bag: bag.to_owned() }
    }
}

/// Who has which name.
#[derive(Default)]
pub struct Claims {
    by_name: BTreeMap<String, ConnId>,
    /// Those that have ended, as they were.
    ended: Vec<String>,
}

impl Claims {
    /// A request and its answer; `None`: it is none of these.
    pub fn handle(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        verb: &str,
        rest: &str,
    ) -> Option<Result<String>> {
        let claim = &mut session.claim;
        let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
        let done = || "ok".to_owned();
        Some(Ok(match verb {
            "i-am" => self.take_over(conn, claim, name),
            "pack" => {
                claim.bag = rest.to_owned();
                done()
            }
            "bag" => claim.bag.clone(),
            "bag-of" => {
                let session = self.find(name).and_then(|id| conn.net.session::<Session>(id));
                session.map_or("nobody".to_owned(), |session| session.claim.bag.clone())
            }
            "myself" => match conn.net.session::<Session>(conn.id()) {
                Some(_) => "twice".to_owned(),
                None => "lent".to_owned(),
            },
            "remind" => {
                let found = self.find(name);
                let told = found.and_then(|id| conn.net.with(id, |c, s| remind(c, s, text)));
                told.map_or("nobody".to_owned(), |()| done())
            }
            // All of them, so many milliseconds later.
            "remind-all" => {
                let after = number(rest).map(Duration::from_millis);
                match after {
                    Ok(after) => conn.net.set_alarm(REMINDER, after),
                    Err(why) => return Some(Err(why)),
                }
                done()
            }
            "break-own" => {
                claim.bag = rest.to_owned();
                panic!("with its own session in hand")
            }
            "break-with" => {
                let found = self.find(name).expect("a name");
                conn.net.with(found, |_, other: &mut Session| {
                    other.claim.bag = text.to_owned();
                    panic!("with another session in hand")
                })?
            }
            "ended" => self.ended.join(","),
            _ => return None,
        }))
    }

    fn find(&self, name: &str) -> Option<ConnId> {
        self.by_name.get(name).copied()
    }

    /// The one who had the name is told, and ends; what it had is the new one's.
    fn take_over(&mut self, conn: &mut Connection<'_>, claim: &mut Claim, name: &str) -> String {
        claim.name = name.to_owned();
        let old = self.by_name.insert(name.to_owned(), conn.id());
        let Some(old) = old.filter(|&old| old != conn.id()) else { return "first".to_owned() };
        let Some(theirs) = conn.net.session::<Session>(old) else { return "nobody".to_owned() };
        claim.bag = mem::take(&mut theirs.claim.bag);
        if let Some(mut old) = conn.net.get(old) {
            say(&mut old, "taken over");
            old.close();
        }
        format!("took {}", claim.bag)
    }

    /// `false`: the alarm is none of ours.
    pub fn alarm(&self, net: &mut Net, key: Alarm) -> bool {
        if key == REMINDER {
            for &id in self.by_name.values() {
                net.with(id, |conn, session| remind(conn, session, "by the alarm"));
            }
        }
        key == REMINDER
    }

    /// A connection has come from another process, with what it had there.
    pub fn arrive(&mut self, id: ConnId, claim: &Claim) {
        if !claim.name.is_empty() {
            self.by_name.insert(claim.name.clone(), id);
        }
    }

    /// Some connections may not have come along, and some have changed their names meanwhile.
    pub fn start(&mut self, net: &mut Net) {
        self.by_name.retain(|name, id| {
            net.session::<Session>(*id).is_some_and(|session| session.claim.name == *name)
        });
    }

    pub fn close(&mut self, id: ConnId, claim: &Claim) {
        if self.find(&claim.name) == Some(id) {
            self.by_name.remove(&claim.name);
        }
        if !claim.name.is_empty() {
            self.ended.push(format!("{}:{}", claim.name, claim.bag));
        }
    }
}

/// As one of its own callbacks would do it.
fn remind(conn: &mut Connection<'_>, session: &mut Session, text: &str) {
    session.claim.bag = text.to_owned();
    say(conn, text);
}
