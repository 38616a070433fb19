//! Rust source as the checks read it: without comments, text literals and unit tests.

/// The source with comments and the insides of text literals as spaces; lines stay where they are.
pub(crate) fn code(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => line_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => block_end(&chars, at),
            '"' => text_end(&chars, at),
            'r' if !after_name(&chars, at) => raw_end(&chars, at).unwrap_or(at),
            '\'' => character_end(&chars, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// The source without the module of unit tests at its end.
pub(crate) fn without_tests(code: &str) -> &str {
    code.find("#[cfg(test)]\nmod tests {").map_or(code, |at| &code[..at])
}

/// Ranges of characters that raw texts take, from `r` to the last `#`.
pub(crate) fn raw_texts(source: &str) -> Vec<std::ops::Range<usize>> {
    let chars: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        at = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => line_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => block_end(&chars, at),
            '"' => text_end(&chars, at),
            'r' if !after_name(&chars, at) => raw_end(&chars, at).map_or(at + 1, |end| {
                found.push(at..end);
                end
            }),
            '\'' => character_end(&chars, at).unwrap_or(at + 1),
            _ => at + 1,
        };
    }
    found
}

fn after_name(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_') && chars[at - 1] != 'b'
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |length| at + length)
}

fn block_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut at = at;
    while at < chars.len() {
        match chars[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

fn text_end(chars: &[char], at: usize) -> usize {
    let mut at = at + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// The end of `r"…"`, `r#"…"#` and so on; nothing if no raw text begins here.
fn raw_end(chars: &[char], at: usize) -> Option<usize> {
    let marks = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    let begin = at + 1 + marks;
    (chars.get(begin) == Some(&'"')).then(|| {
        let close = |end: &usize| {
            chars[*end] == '"'
                && chars.len() > end + marks
                && chars[end + 1..=end + marks].iter().all(|&c| c == '#')
        };
        (begin + 1..chars.len()).find(close).map_or(chars.len(), |end| end + marks + 1)
    })
}

/// The end of a character literal; nothing for a lifetime.
fn character_end(chars: &[char], at: usize) -> Option<usize> {
    match chars[at + 1..] {
        ['\\', ..] => {
            chars[at + 3..].iter().position(|&c| c == '\'').map(|length| at + 3 + length + 1)
        }
        [_, '\'', ..] => Some(at + 3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_texts_are_blank_and_lifetimes_are_not() {
        let source = "a /* b /* c */ d */ e // f\n\"g\\\" h\" 'i' '\\n' &'j k r#\"l \" m\"# n";
        let words: Vec<String> = code(source).split_whitespace().map(str::to_string).collect();
        assert_eq!(words, ["a", "e", "&'j", "k", "n"]);
        assert_eq!(code(source).lines().count(), 2);
    }

    #[test]
    fn raw_texts_are_found_and_names_that_end_in_r_are_none() {
        let source = "for \"x\" r#\"y\n\"z\"# r\"w\" // r\"v\"";
        let chars: Vec<char> = source.chars().collect();
        let texts: Vec<String> =
            raw_texts(source).into_iter().map(|range| chars[range].iter().collect()).collect();
        assert_eq!(texts, ["r#\"y\n\"z\"#", "r\"w\""]);
    }
}
