//! Commands about the connection itself.

use super::super::{
    commands::info::VERSION,
    resp::{self, integer},
};
use super::{Answer, Call, Capitals, Fault, NOT_AN_INTEGER};

/// A subscriber hears the answer in the form of a message.
pub fn ping(call: &mut Call<'_, '_>) -> Answer {
    let text = call.args.get(1);
    if call.args.len() > 2 {
        return Err(b"ERR wrong number of arguments for 'ping' command".into());
    }
    if call.session.subscriptions.len() > 0 {
        resp::array(call.conn, 2);
        resp::bulk(call.conn, b"pong");
        resp::bulk(call.conn, text.unwrap_or_default());
    } else if let Some(text) = text {
        resp::bulk(call.conn, text);
    } else {
        resp::simple(call.conn, "PONG");
    }
    Ok(())
}

pub fn echo(call: &mut Call<'_, '_>) -> Answer {
    resp::bulk(call.conn, call.args.at(1));
    Ok(())
}

pub fn quit(call: &mut Call<'_, '_>) -> Answer {
    resp::ok(call.conn);
    call.conn.close();
    Ok(())
}

/// Back to how the connection was when it came.
pub fn reset(call: &mut Call<'_, '_>) -> Answer {
    call.state.hub.leave_all(&call.session.subscriptions, call.conn.id());
    call.session.subscriptions = Default::default();
    call.session.name.clear();
    resp::simple(call.conn, "RESET");
    Ok(())
}

/// There is one database.
pub fn select(call: &mut Call<'_, '_>) -> Answer {
    match integer(call.args.at(1)) {
        Some(0) => resp::ok(call.conn),
        Some(number) if i32::try_from(number).is_ok() => {
            return Err(b"ERR DB index is out of range".into());
        }
        Some(_) => {
            let (least, most) = (i32::MIN, i32::MAX);
            let why = format!("ERR value is out of range, value must between {least} and {most}");
            return Err(why.into_bytes().into());
        }
        None => return Err(NOT_AN_INTEGER),
    }
    Ok(())
}

pub fn hello(call: &mut Call<'_, '_>) -> Answer {
    if let Some(version) = call.args.get(1) {
        let number = integer(version);
        let none = b"ERR Protocol version is not an integer or out of range";
        if number.ok_or(none)? != 2 {
            return Err(b"NOPROTO unsupported protocol version".into());
        }
    }
    let mut words = call.args.from(2);
    while let Some(word) = words.next() {
        match (Capitals::of(word).as_bytes(), words.len()) {
            (b"SETNAME", 1..) => set_name(call, words.next().unwrap_or_default())?,
            _ => return Err([b"ERR Syntax error in HELLO option '", word, b"'"].concat().into()),
        }
    }
    resp::array(call.conn, 14);
    for (key, value) in [("server", "redis"), ("version", VERSION)] {
        resp::bulk(call.conn, key.as_bytes());
        resp::bulk(call.conn, value.as_bytes());
    }
    for (key, value) in [("proto", 2), ("id", call.session.number as i64)] {
        resp::bulk(call.conn, key.as_bytes());
        resp::int(call.conn, value);
    }
    for (key, value) in [("mode", "standalone"), ("role", "master")] {
        resp::bulk(call.conn, key.as_bytes());
        resp::bulk(call.conn, value.as_bytes());
    }
    resp::bulk(call.conn, b"modules");
    resp::array(call.conn, 0);
    Ok(())
}

pub fn client_id(call: &mut Call<'_, '_>) -> Answer {
    resp::int(call.conn, call.session.number as i64);
    Ok(())
}

pub fn client_getname(call: &mut Call<'_, '_>) -> Answer {
    let name = Some(call.session.name.as_slice()).filter(|name| !name.is_empty());
    resp::bulk_or_null(call.conn, name);
    Ok(())
}

pub fn client_setname(call: &mut Call<'_, '_>) -> Answer {
    set_name(call, call.args.at(2))?;
    resp::ok(call.conn);
    Ok(())
}

fn set_name(call: &mut Call<'_, '_>, name: &[u8]) -> Answer {
    call.session.name = label(name, b"Client names")?;
    Ok(())
}

/// What a client library calls itself. It is checked and then forgotten: no list here would show it.
pub fn client_setinfo(call: &mut Call<'_, '_>) -> Answer {
    let (what, text) = (call.args.at(2), call.args.at(3));
    match Capitals::of(what).as_bytes() {
        b"LIB-NAME" | b"LIB-VER" => label(text, what)?,
        _ => return Err([b"ERR Unrecognized option '", what, b"'"].concat().into()),
    };
    resp::ok(call.conn);
    Ok(())
}

/// A name that lists can show: printable ASCII without blanks.
fn label(text: &[u8], of_what: &[u8]) -> Answer<Vec<u8>> {
    if text.iter().all(u8::is_ascii_graphic) {
        Ok(text.to_vec())
    } else {
        let why = b" cannot contain spaces, newlines or special characters.";
        Err(Fault::from([b"ERR ", of_what, why].concat()))
    }
}
