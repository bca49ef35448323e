//! Changes of settings and policies that outlast a turn: CONFIG SET of a policy or of a socket, POLICY RELOAD, a
//! policy file that has changed. Who asked waits; nobody else does. What changes by itself is in `settings`.
//! Always: one at a time, in the order asked for; a change comes into force as a whole, once everything that can
//! fail has succeeded; whoever waits is answered.

use std::any::Any;
use std::collections::VecDeque;

use tenon_base::{ConnectionId, ListenError, Now, World};
use tenon_commands::CommandError;
use tenon_config::{Change, Directive, SetError};

use crate::engine::Engine;
use crate::policies::{Decisions, LoadedPolicies};
use crate::sockets::{needs_sockets, renews_certificates};

/// The change under way, and those in line.
#[derive(Default)]
pub(crate) struct Transitions {
    running: Option<Running>,
    waiting: VecDeque<Reason>,
}

/// Why something is to change.
pub(crate) enum Reason {
    /// CONFIG SET: all of the change comes into force, or none of it.
    Set { client: ConnectionId, change: Change },
    /// POLICY RELOAD.
    Reload { client: ConnectionId, which: Decisions },
    /// Files of running policies have changed.
    FileChanged { which: Decisions },
}

struct Running {
    reason: Reason,
    /// What has to be loaded for it.
    asked: Decisions,
    /// What was loaded for it, not in force yet.
    policies: LoadedPolicies,
}

impl Reason {
    fn client(&self) -> Option<ConnectionId> {
        match self {
            Reason::Set { client, .. } | Reason::Reload { client, .. } => Some(*client),
            Reason::FileChanged { .. } => None,
        }
    }
}

impl Engine {
    /// Whether a change has to load policies or to open sockets before it can come into force.
    pub(crate) fn outlasts_turn(&self, change: &Change) -> bool {
        Decisions::of(change.changed(&self.config)).any() || needs_sockets(change.changed(&self.config))
    }

    /// Begins a change, or puts it in line. A client that asked must be parked already.
    pub(crate) fn begin_transition(&mut self, now: Now, reason: Reason, world: &mut World<'_>) {
        if self.transitions.running.is_some() || !self.transitions.waiting.is_empty() {
            self.transitions.waiting.push_back(reason);
        } else {
            self.start_transition(now, reason, world);
        }
    }

    /// Takes the policies that were asked for, or the reason why there are none.
    pub(crate) fn policies_loaded(&mut self, now: Now, result: Box<dyn Any + Send>, world: &mut World<'_>) {
        let Some(running) = &mut self.transitions.running else { return };
        match self.policies.accept(running.asked, result) {
            Ok(policies) => {
                running.policies = policies;
                self.open_sockets_or_conclude(now, world);
            }
            Err((decision, sentence)) => {
                let error = match &running.reason {
                    Reason::Set { .. } => {
                        format!("ERR {}", SetError::refused(decision.directive(), sentence))
                    }
                    Reason::Reload { .. } | Reason::FileChanged { .. } => {
                        format!(
                            "ERR {}: {sentence}. {}",
                            decision.name(),
                            self.policies.still_running(decision)
                        )
                    }
                };
                self.finish_transition(now, Err(error), world);
            }
        }
        self.start_waiting(now, world);
    }

    /// Takes what became of the sockets that were asked for.
    pub(crate) fn sockets_opened(
        &mut self,
        now: Now,
        result: Result<(), ListenError>,
        world: &mut World<'_>,
    ) {
        match result {
            Ok(()) => self.conclude(now, world),
            Err(error) => {
                let error = match self.transitions.running.as_ref().map(|running| &running.reason) {
                    Some(Reason::Set { change, .. }) => {
                        self.refusal_of_sockets(change.changed(&self.config), &error)
                    }
                    _ => return,
                };
                self.finish_transition(now, Err(format!("ERR {error}")), world);
            }
        }
        self.start_waiting(now, world);
    }

    fn start_transition(&mut self, now: Now, reason: Reason, world: &mut World<'_>) {
        let (config, asked) = match &reason {
            Reason::Set { change, .. } => {
                (self.config.preview(change), Decisions::of(change.changed(&self.config)))
            }
            Reason::Reload { which, .. } | Reason::FileChanged { which } => (self.config.clone(), *which),
        };
        self.transitions.running = Some(Running { reason, asked, policies: LoadedPolicies::default() });
        if asked.any() {
            self.load_policies(&config, asked, world);
        } else {
            self.open_sockets_or_conclude(now, world);
        }
    }

    fn open_sockets_or_conclude(&mut self, now: Now, world: &mut World<'_>) {
        if let Some(Running { reason: Reason::Set { client, change }, .. }) = &self.transitions.running
            && needs_sockets(change.changed(&self.config))
        {
            let renew = renews_certificates(change.changed(&self.config));
            let (client, config) = (*client, self.config.preview(change));
            self.listen(&config, renew, Some(client), world);
            return;
        }
        self.conclude(now, world);
    }

    /// Puts everything in force.
    fn conclude(&mut self, now: Now, world: &mut World<'_>) {
        let Some(running) = &mut self.transitions.running else { return };
        let policies = std::mem::take(&mut running.policies);
        let only_if_new = matches!(running.reason, Reason::FileChanged { .. });
        if let Reason::Set { change, .. } = &running.reason {
            let (change, has_sockets) = (change.clone(), needs_sockets(change.changed(&self.config)));
            let renew = renews_certificates(change.changed(&self.config));
            if let Err(error) = self.apply_change(now, change, world) {
                if has_sockets {
                    let config = self.config.clone();
                    self.listen(&config, renew, None, world);
                }
                self.finish_transition(now, Err(format!("{} {error}", error.code())), world);
                return;
            }
        }
        if self.policies.put_in_force(policies, only_if_new, now) {
            self.settings_changed(&[Directive::PolicyFsync]);
        }
        self.finish_transition(now, Ok(()), world);
    }

    /// Answers who waits, or the log if nobody does.
    fn finish_transition(&mut self, now: Now, outcome: Result<(), String>, world: &mut World<'_>) {
        let Some(running) = self.transitions.running.take() else { return };
        match (running.reason.client(), outcome) {
            (Some(client), Ok(())) => {
                self.answer(client, world, |reply| reply.ok());
                self.resume(now, client, world);
            }
            (Some(client), Err(error)) => {
                self.stats.count_error(&CommandError::Text(error.clone().into()));
                self.answer(client, world, |reply| reply.error(&error));
                self.resume(now, client, world);
            }
            (None, Ok(())) => {}
            (None, Err(error)) => tracing::warn!("Policy {}", error.trim_start_matches("ERR ")),
        }
    }

    /// Begins what is in line; what needs no time is done at once, so more than one may be.
    fn start_waiting(&mut self, now: Now, world: &mut World<'_>) {
        while self.transitions.running.is_none()
            && let Some(next) = self.transitions.waiting.pop_front()
        {
            self.start_transition(now, next, world);
        }
    }
}

#[cfg(test)]
mod tests;
