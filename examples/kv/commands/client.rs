//! CLIENT, of the client that asks: its name, its number, what it wants to hear.

use super::super::session::Replies;
use super::{Answer, Call, Capitals, Fault, SYNTAX};

pub fn id(call: &mut Call<'_, '_>) -> Answer {
    call.out.int(call.session.number as i64);
    Ok(())
}

pub fn getname(call: &mut Call<'_, '_>) -> Answer {
    let name = Some(call.session.name.as_slice()).filter(|name| !name.is_empty());
    call.out.bulk_or_null(name);
    Ok(())
}

pub fn setname(call: &mut Call<'_, '_>) -> Answer {
    set_name(call, call.args.at(2))?;
    call.out.ok();
    Ok(())
}

pub fn set_name(call: &mut Call<'_, '_>, name: &[u8]) -> Answer {
    call.session.name = label(name, b"Client names")?;
    Ok(())
}

/// What a client library calls itself, for CLIENT LIST.
pub fn setinfo(call: &mut Call<'_, '_>) -> Answer {
    let (what, text) = (call.args.at(2), call.args.at(3));
    let place = match Capitals::of(what).as_bytes() {
        b"LIB-NAME" => 0,
        b"LIB-VER" => 1,
        _ => return Err([b"ERR Unrecognized option '", what, b"'"].concat().into()),
    };
    call.session.library[place] = label(text, what)?;
    call.out.ok();
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

/// To whom invalidations go: nobody's are kept track of here.
pub fn getredir(call: &mut Call<'_, '_>) -> Answer {
    call.out.int(-1);
    Ok(())
}

/// NO-EVICT, NO-TOUCH. Nobody is evicted here, and nothing notes when a key was read.
pub fn on_or_off(call: &mut Call<'_, '_>) -> Answer {
    match Capitals::of(call.args.at(2)).as_bytes() {
        b"ON" | b"OFF" => call.out.ok(),
        _ => return Err(SYNTAX),
    }
    Ok(())
}

/// Whether replies are sent: all, none, or all but the next one.
pub fn reply(call: &mut Call<'_, '_>) -> Answer {
    match Capitals::of(call.args.at(2)).as_bytes() {
        b"ON" => {
            call.session.replies = Replies::On;
            call.out.is_mute = false;
            call.out.ok();
        }
        b"OFF" => call.session.replies = Replies::Off,
        b"SKIP" if call.session.replies == Replies::Off => {}
        b"SKIP" => call.session.replies = Replies::SkipNext,
        _ => return Err(SYNTAX),
    }
    Ok(())
}
