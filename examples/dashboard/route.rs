//! What there is over HTTP. Pure: knows no connection.

use heirloom::Engine;

use super::{
    reply::{Refusal, Status},
    request::Method,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `GET /`: the page.
    Page,
    /// `GET /events`: its stream, which does not end.
    Events,
    /// `POST /...`: a button.
    Button(Button),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Button {
    /// A hundred more clients.
    Add,
    /// All clients go home.
    Clear,
    /// A restart; whether the clients go along.
    Restart {
        engine: Engine,
        moves: bool,
    },
    /// The next new generation fails.
    Doom,
    RollBack,
}

impl Route {
    pub fn find(method: Method, path: &str) -> Result<Route, Refusal> {
        let restart = |engine, moves| Route::Button(Button::Restart { engine, moves });
        let (route, allow) = match path {
            "/" => (Route::Page, "GET, HEAD"),
            "/events" => (Route::Events, "GET"),
            "/clients/add" => (Route::Button(Button::Add), "POST"),
            "/clients/clear" => (Route::Button(Button::Clear), "POST"),
            "/restart/fork" => (restart(Engine::Fork, false), "POST"),
            "/restart/fork-exec" => (restart(Engine::ForkExec, false), "POST"),
            "/restart/fork/move" => (restart(Engine::Fork, true), "POST"),
            "/restart/fork-exec/move" => (restart(Engine::ForkExec, true), "POST"),
            "/doom" => (Route::Button(Button::Doom), "POST"),
            "/roll-back" => (Route::Button(Button::RollBack), "POST"),
            _ => return Err(Refusal::new(Status::NotFound, "there is no such page")),
        };
        let fits = match method {
            Method::Get => allow != "POST",
            Method::Head => route == Route::Page,
            Method::Post => allow == "POST",
            Method::Put | Method::Options | Method::Unused | Method::Unknown => false,
        };
        if fits {
            return Ok(route);
        }
        let refusal = Refusal::new(Status::MethodNotAllowed, "not with this method");
        Err(Refusal { allow: Some(allow), ..refusal })
    }
}
