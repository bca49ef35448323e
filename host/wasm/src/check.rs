//! What can be said about a file before a guest of it runs: its kind, its contract, its world, its imports.
//! Instantiates nothing and trusts nothing: names from the file are made fit for a line before they are repeated.
//! Always: a reason is the end of the sentence `FILE refused: ...`; it says what was found and what is allowed.

use tenon_policy::one_line;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::instance::causes;

/// The contract that this server speaks.
pub(crate) const CONTRACT: &str = "tenon:policy@0.1.0";

const PACKAGE: &str = "tenon:policy/";
const VERSION: &str = "0.1.0";
/// What a guest may import: something to do, and types alone.
const ALLOWED_IMPORTS: [&str; 2] = ["log", "types"];
/// The interfaces that make a world, and the worlds.
const WORLDS: [(&str, &str); 2] = [("fsync", "fsync-policy"), ("snapshot", "snapshot-policy")];

/// Of a name from a file, in a sentence.
const NAME_BYTES_MAX: usize = 100;
/// Of all the names together.
const NAMES_BYTES_MAX: usize = 1_000;

/// Says why bytes cannot be a component at all.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), String> {
    const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    if bytes.is_empty() {
        return Err("it is empty".to_owned());
    }
    if Engine::detect_precompiled(bytes).is_some() || bytes.starts_with(b"\x7fELF") {
        return Err("it is precompiled native code; only WebAssembly components are accepted".to_owned());
    }
    if bytes.starts_with(CORE_MODULE) {
        return Err("it is a core module, not a component; link it with wasm-component-ld".to_owned());
    }
    if !bytes.starts_with(COMPONENT) {
        let start: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        return Err(format!("it is not a WebAssembly component (it starts with {})", start.join(" ")));
    }
    Ok(())
}

/// What the compiler said about bytes that looked like a component.
pub(crate) fn compile_error(error: &wasmtime::Error) -> String {
    format!("it is damaged or cut short: {}", causes(error))
}

/// What a component says about itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `fsync-policy` or `snapshot-policy`; `None` if it exports neither.
    pub(crate) world: Option<&'static str>,
    /// As in `tenon:policy@VERSION`; of the exported world.
    pub(crate) version: Option<String>,
    /// What it imports and must not.
    pub(crate) forbidden: Vec<String>,
}

/// Reads a component's imports and exports; `wanted` is the world to prefer where it exports several.
pub(crate) fn identity(engine: &Engine, component: &Component, wanted: Option<&str>) -> Identity {
    let component = component.component_type();
    let mut found: Option<(&'static str, String)> = None;
    for (name, _) in component.exports(engine) {
        let Some((interface, version)) = split(name) else { continue };
        let Some((_, world)) = WORLDS.iter().find(|(exported, _)| *exported == interface) else { continue };
        if found.is_none() || wanted == Some(world) {
            found = Some((world, one_line(version, NAME_BYTES_MAX)));
        }
    }
    let is_forbidden = |name: &&str| {
        !split(name)
            .is_some_and(|(interface, version)| version == VERSION && ALLOWED_IMPORTS.contains(&interface))
    };
    let mut forbidden: Vec<String> = component
        .imports(engine)
        .map(|(name, _)| name)
        .filter(is_forbidden)
        .map(|name| one_line(name, NAME_BYTES_MAX))
        .collect();
    forbidden.sort();
    let (world, version) = found.unzip();
    Identity { world, version, forbidden }
}

impl Identity {
    /// The contract it was built against, as `tenon:policy@0.1.0`.
    pub(crate) fn contract(&self) -> Option<String> {
        self.version.as_ref().map(|version| format!("tenon:policy@{version}"))
    }

    /// Says why a component cannot serve as this world. The version comes first: a guest of another one differs in
    /// everything else too.
    pub(crate) fn check(&self, wanted: &str) -> Result<(), String> {
        match (self.world, self.version.as_deref()) {
            (Some(_), Some(version)) if version != VERSION => {
                return Err(format!(
                    "it was built against tenon:policy@{version}; this server speaks {CONTRACT}"
                ));
            }
            (Some(world), _) if world != wanted => {
                return Err(format!("it exports the world {world}; {wanted} is needed"));
            }
            (None, _) if self.forbidden.is_empty() => {
                return Err(format!("it exports no world of tenon:policy; {wanted} is needed"));
            }
            _ => {}
        }
        if !self.forbidden.is_empty() {
            let names = one_line(&self.forbidden.join(", "), NAMES_BYTES_MAX);
            return Err(format!("imports {names}; only tenon:policy/log is allowed"));
        }
        Ok(())
    }
}

/// `tenon:policy/fsync@0.1.0` is the interface `fsync` of version `0.1.0`.
fn split(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(PACKAGE)?.split_once('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_component_are_named() {
        let reason = |given: &[u8]| bytes(given).unwrap_err();
        assert!(reason(b"").contains("empty"));
        assert!(reason(b"\0asm\x01\0\0\0rest").contains("core module"));
        assert!(reason(b"\x7fELF\x02\x01").contains("precompiled"));
        assert!(reason(b"#!/bin/sh").contains("starts with 23 21 2f"));
        assert!(reason(b"\0as").contains("starts with 00 61 73"));
        assert_eq!(bytes(b"\0asm\x0d\0\x01\0"), Ok(()));
    }
}
