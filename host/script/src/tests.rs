//! Scripts as they run, told as redis-cli would show what they return.

mod crossing;
mod errors;
mod libraries;
mod sandbox;

use tenon_resp::{Args, OwnedArgs, Proto, Reply};

use crate::{Called, Ended, Flavor, Host, Interpreter};

/// Echoes what it is called with, and ends scripts that ask too often.
#[derive(Default)]
struct Echo {
    reply: Vec<u8>,
    log: Vec<String>,
    polls_left: Option<usize>,
}

impl Host for Echo {
    fn call(&mut self, args: Args<'_>, proto: Proto) -> Called<'_> {
        self.reply.clear();
        let mut reply = Reply::new(&mut self.reply, proto);
        match args.get(0) {
            b"fail" => reply.error("WRONG it is wrong"),
            b"refuse" => return Called::Refused("ERR not from here".to_owned()),
            b"nil" => reply.null(),
            b"count" => reply.integer(args.len() as i64),
            b"status" => reply.simple(&String::from_utf8_lossy(args.get(1))),
            b"map" => {
                reply.map(1);
                reply.bulk(b"field");
                reply.double(1.5);
            }
            b"set" => {
                reply.set(1);
                reply.boolean(true);
            }
            _ => {
                reply.array(args.len());
                args.iter().for_each(|word| reply.bulk(word));
            }
        }
        Called::Reply(&self.reply)
    }

    fn may_call(&mut self, args: Args<'_>) -> Option<bool> {
        (args.get(0) != b"unknown").then_some(args.len() > 1)
    }

    fn set_targets(&mut self, log: bool, replicas: bool) {
        self.log.push(format!("targets {log} {replicas}"));
    }

    fn log(&mut self, level: u8, text: &[u8]) {
        self.log.push(format!("{level} {}", text.escape_ascii()));
    }

    fn goes_on(&mut self) -> bool {
        match &mut self.polls_left {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }
}

/// A reply's bytes, or the error and where it was raised.
fn run_in(interpreter: &mut Interpreter, host: &mut Echo, proto: Proto, script: &str) -> String {
    let code = match interpreter.compile(script.as_bytes()) {
        Ok(code) => code,
        Err(error) => return format!("does not compile: {error}"),
    };
    let keys = OwnedArgs::from(&[b"k1".as_slice(), b"k2"]);
    let arguments = OwnedArgs::from(&[b"a1".as_slice()]);
    match interpreter.run(&code, keys.as_args(), arguments.as_args(), host) {
        Ended::Returned(returned) => {
            let mut out = Vec::new();
            returned.write(&mut Reply::new(&mut out, proto));
            out.escape_ascii().to_string().replace("\\r\\n", " ").trim_end().to_owned()
        }
        Ended::Failed(failure) => {
            let place = failure.place.map(|place| format!(" on {}:{}", place.source, place.line));
            format!("{}{}", String::from_utf8_lossy(&failure.text), place.unwrap_or_default())
        }
        Ended::Stopped(place) => format!("stopped on line {}", place.map_or(0, |place| place.line)),
    }
}

fn run(script: &str) -> String {
    run_in(&mut Interpreter::new(Flavor::Scripts, 1), &mut Echo::default(), Proto::Resp2, script)
}
