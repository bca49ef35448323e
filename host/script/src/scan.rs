//! What can be said of a script by its text alone, without reading it as Lua: for the quicker ways to run it.
//! Not a parser: strings and comments are searched like all else, so an answer is careful, not exact.
//! Always: what is said holds whatever the script does.

/// Whether the text names what returns as many values as one likes.
pub(crate) fn may_be_wide(code: &[u8]) -> bool {
    [b"unpack".as_slice(), b"byte", b"load"].into_iter().any(|name| has(code, name))
}

/// Whether the tables `KEYS` and `ARGV` are the same after a run as before it, and nobody has them: they occur as
/// `KEYS[1]` only, which is a string or nothing; what is assigned to is no element; nothing looks at the globals.
pub(crate) fn leaves_tables(code: &[u8]) -> bool {
    let looks_around = [b"_G".as_slice(), b"fenv", b"load"].into_iter().any(|name| has(code, name));
    !looks_around
        && [b"KEYS", b"ARGV"].into_iter().all(|name| {
            let mut uses = code.windows(name.len()).enumerate().filter(|(_, window)| window == name);
            uses.all(|(at, _)| is_element(&code[at + name.len()..]))
        })
        && (0..code.len()).filter(|&at| code[at] == b'=').all(|at| is_harmless(code, at))
}

fn has(code: &[u8], name: &[u8]) -> bool {
    code.windows(name.len()).any(|window| window == name)
}

/// Whether an index behind a table's name is a plain number.
fn is_element(behind: &[u8]) -> bool {
    let digits = behind.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
    behind.first() == Some(&b'[') && digits > 0 && behind.get(1 + digits) == Some(&b']')
}

/// Whether what stands at `at`, an equals sign, compares, or assigns to names alone.
fn is_harmless(code: &[u8], at: usize) -> bool {
    let before = &code[..at];
    if code.get(at + 1) == Some(&b'=') || matches!(before.last(), Some(b'=' | b'~' | b'<' | b'>')) {
        return true;
    }
    let in_names = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b',' | b' ' | b'\t');
    let names = before.iter().rev().take_while(|byte| in_names(byte)).count();
    // Behind these words there are names only; of what is assigned to otherwise the first may be further ahead.
    let mut words = before[at - names..].split(|byte| matches!(byte, b' ' | b'\t' | b','));
    words.any(|word| matches!(word, b"local" | b"for"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_a_script_could_keep_or_change_are_not_left() {
        let leaving = [
            "return redis.call('set',KEYS[1],ARGV[1])",
            "return 1",
            "local a, b = KEYS[1], ARGV[12]\nif a == b then return a end",
            "for i = 1, 3 do redis.call('get', KEYS[1]) end",
            "local a = KEYS[1] local b = 2 return a ~= b",
        ];
        for code in leaving {
            assert!(leaves_tables(code.as_bytes()), "{code}");
        }
        let others = [
            "return KEYS",
            "return #ARGV",
            "KEYS[1] = 'a'",
            "KEYS[3], a = 1, 2",
            "local a = 1 a, KEYS[3] = 1, 2",
            "local a = 1\nKEYS[3], a = 1, 2",
            "local a = 1\nKEYS[3],\na = 1, 2",
            "KEYS[3]--\n,a=1,2",
            "KEYS[3],\na=1,2",
            "KEYS[3], --[[ local ]] a = 1, 2",
            "a = 1",
            "return _G.KEYS[1]",
            "return getfenv().KEYS[1]",
            "return loadstring('return KEYS[1]')()",
            "return KEYS[n]",
            "return KEYS [1]",
            "return redis.call('KEYS', '*')",
        ];
        for code in others {
            assert!(!leaves_tables(code.as_bytes()), "{code}");
        }
        assert!(may_be_wide(b"return redis.call(unpack(KEYS))"));
        assert!(!may_be_wide(b"return redis.call('get', KEYS[1])"));
    }
}
