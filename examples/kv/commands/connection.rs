//! Commands about the connection itself, that every client knows.

use super::super::{
    out::{Out, Version},
    resp::integer,
    session::Session,
};
use super::{
    Answer, Call, Capitals, Fault, NOT_AN_INTEGER, client::set_name, info::VERSION, transactions,
};

/// A subscriber hears the answer in the form of a message, where it can hear nothing else.
pub fn ping(call: &mut Call<'_, '_>) -> Answer {
    let text = call.args.get(1);
    if call.args.len() > 2 {
        return Err(b"ERR wrong number of arguments for 'ping' command".into());
    }
    if call.session.subscriptions.len() > 0 && call.session.version == Version::Two {
        call.out.bulks(&[b"pong", text.unwrap_or_default()]);
    } else if let Some(text) = text {
        call.out.bulk(text);
    } else {
        call.out.simple("PONG");
    }
    Ok(())
}

pub fn echo(call: &mut Call<'_, '_>) -> Answer {
    call.out.bulk(call.args.at(1));
    Ok(())
}

pub fn quit(call: &mut Call<'_, '_>) -> Answer {
    call.out.ok();
    call.out.conn.close();
    Ok(())
}

/// Back to how the connection was when it came.
pub fn reset(call: &mut Call<'_, '_>) -> Answer {
    transactions::forget(call);
    call.state.leave(call.session, call.out.conn.id());
    let Session { number, since, active, last, .. } = *call.session;
    let library = std::mem::take(&mut call.session.library);
    *call.session = Session { number, since, active, last, library, ..Session::default() };
    call.out.is_mute = false;
    call.out.simple("RESET");
    Ok(())
}

/// There is one database.
pub fn select(call: &mut Call<'_, '_>) -> Answer {
    check_database(call.args.at(1))?;
    call.out.ok();
    Ok(())
}

pub fn check_database(number: &[u8]) -> Answer {
    match integer(number) {
        Some(0) => Ok(()),
        Some(number) if i32::try_from(number).is_ok() => {
            Err(b"ERR DB index is out of range".into())
        }
        Some(_) => {
            let (least, most) = (i32::MIN, i32::MAX);
            let why = format!("ERR value is out of range, value must between {least} and {most}");
            Err(why.into_bytes().into())
        }
        None => Err(NOT_AN_INTEGER),
    }
}

/// Chooses the version of the protocol, and may say who the client is. All of it is done, or nothing.
pub fn hello(call: &mut Call<'_, '_>) -> Answer {
    let mut version = call.session.version;
    if let Some(number) = call.args.get(1) {
        let none = b"ERR Protocol version is not an integer or out of range";
        version = match integer(number).ok_or(none)? {
            2 => Version::Two,
            3 => Version::Three,
            _ => return Err(b"NOPROTO unsupported protocol version".into()),
        };
    }
    let (mut words, mut name) = (call.args.from(2), None);
    while let Some(word) = words.next() {
        match (Capitals::of(word).as_bytes(), words.len()) {
            (b"AUTH", 2..) => {
                let (user, password) = (words.next(), words.next());
                check_password(user.unwrap_or_default(), password.unwrap_or_default())?;
            }
            (b"SETNAME", 1..) => name = words.next(),
            _ => return Err([b"ERR Syntax error in HELLO option '", word, b"'"].concat().into()),
        }
    }
    if let Some(name) = name {
        set_name(call, name)?;
    }
    (call.session.version, call.out.version) = (version, version);
    describe_server(&mut call.out, call.session);
    Ok(())
}

fn describe_server(out: &mut Out<'_, '_>, session: &Session) {
    out.map(7);
    for (key, value) in [("server", "redis"), ("version", VERSION)] {
        out.bulk(key.as_bytes());
        out.bulk(value.as_bytes());
    }
    for (key, value) in [("proto", session.version.number()), ("id", session.number as i64)] {
        out.bulk(key.as_bytes());
        out.int(value);
    }
    for (key, value) in [("mode", "standalone"), ("role", "master")] {
        out.bulk(key.as_bytes());
        out.bulk(value.as_bytes());
    }
    out.bulk(b"modules");
    out.array(0);
}

/// There are no passwords here, so everybody is the default user, with any.
pub fn auth(call: &mut Call<'_, '_>) -> Answer {
    match call.args.len() {
        2 => Err(
            b"ERR AUTH <password> called without any password configured for the default user. \
            Are you sure your configuration is correct?"
                .into(),
        ),
        3 => {
            check_password(call.args.at(1), call.args.at(2))?;
            call.out.ok();
            Ok(())
        }
        _ => Err(super::SYNTAX),
    }
}

fn check_password(user: &[u8], _any: &[u8]) -> Answer {
    const UNKNOWN: Fault =
        Fault::Borrowed(b"WRONGPASS invalid username-password pair or user is disabled.");
    if user == b"default" { Ok(()) } else { Err(UNKNOWN) }
}
