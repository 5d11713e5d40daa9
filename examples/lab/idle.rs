//! Connections that are silent, and the requests that are about that: `idle DIRECTION MS` (or `never`) sets how long
//! this connection may be, `timeouts` says what holds for it.

use std::time::Duration;

use heirloom::{Connection, Direction, Idle, Result, Server, Timeouts};

use crate::{
    Lab,
    requests::number,
    say,
    settings::{millis, setting},
    tls,
};

/// What the environment says.
pub fn timeouts() -> Timeouts {
    let limit = |name: &str, default: Option<u64>| match setting::<String>(name).as_deref() {
        Some("never") => None,
        _ => millis(name).or(default.map(Duration::from_secs)),
    };
    tls::timeouts(Timeouts::new())
        .all_idle(limit("IDLE", None))
        .read_idle(limit("READ_IDLE", None))
        .write_idle(limit("WRITE_IDLE", None))
        .first_message(limit("FIRST", Some(60)))
        .write_stall(limit("WRITE", Some(30)))
        .close(millis("CLOSE").unwrap_or(Duration::from_secs(5)))
}

/// The second listener has a limit of its own.
pub fn tune_listener(server: Server<Lab>) -> Server<Lab> {
    match millis("LISTENER_IDLE") {
        Some(limit) => server.listener_timeouts(1, Timeouts::new().all_idle(limit)),
        None => server,
    }
}

/// A request and its answer, if it is one of these.
pub fn handle(conn: &mut Connection<'_>, verb: &str, rest: &str) -> Result<Option<String>> {
    match verb {
        "idle" => {
            let (direction, limit) = rest.split_once(' ').ok_or("a direction and a limit")?;
            let limit = match limit {
                "never" => None,
                limit => Some(Duration::from_millis(number(limit)?)),
            };
            match direction {
                "read" => conn.set_read_idle(limit),
                "write" => conn.set_write_idle(limit),
                "all" => conn.set_all_idle(limit),
                _ => return Err("read, write or all".into()),
            }
            Ok(Some("ok".to_owned()))
        }
        "timeouts" => Ok(Some(format!("{:?}", conn.timeouts()))),
        _ => Ok(None),
    }
}

/// Says how it was silent, where it is to be asked; else it is closed.
pub fn tell(conn: &mut Connection<'_>, idle: Idle) {
    if setting::<u8>("ASKS").is_none() {
        return conn.close();
    }
    let direction = match idle.direction {
        Direction::Read => "read",
        Direction::Write => "write",
        Direction::All => "all",
    };
    say(conn, &format!("idle {direction} {} {}", idle.silent.as_millis(), idle.limit.as_millis()));
}
