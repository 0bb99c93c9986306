//! Breaks a valid input in the ways that parsers are broken: by bits, lengths, numbers, nesting and encodings.
//!
//! The same generator gives the same input on every machine.

use crate::testing::Random;
use std::ops::Range;

/// No answer, row or message that reaches a parser is longer than a few of these.
const LONGEST: usize = 256 * 1024;

/// Whole values that a text or JSON parser may stumble over.
const TOKENS: [&[u8]; 47] = [
    b"null",
    b"true",
    b"false",
    b"[]",
    b"{}",
    b"\"\"",
    b"0",
    b"-0",
    b"-1",
    b"1.5",
    b"1e3",
    b"1e999",
    b"-1e999",
    b"NaN",
    b"Infinity",
    b"255",
    b"256",
    b"65535",
    b"65536",
    b"16777215",
    b"16777216",
    b"499999999",
    b"500000000",
    b"2147483648",
    b"4294967295",
    b"4294967296",
    b"9007199254740993",
    b"18446744073709551615",
    b"18446744073709551616",
    b"99999999999999999999999999999999999999999",
    b"0x10",
    b"+1",
    b" ",
    b"\r\n",
    b"\t",
    b"\\ud800",
    b"\"\\udc00\\ud800\"",
    b"\\u0000",
    b"\\",
    b"//",
    b"://",
    b"@",
    b"[::1]",
    b"%00",
    b"..",
    b"\"id\":",
    b"\"error\":",
];

/// Bytes that are no text, or a text that looks like another.
const BYTES: [&[u8]; 14] = [
    b"\0",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xef\xbb\xbf",
    "\u{202e}".as_bytes(),
    "\u{2028}".as_bytes(),
    "x\u{301}".as_bytes(),
    "İ".as_bytes(),
    "😀".as_bytes(),
    b"\xfd\xff\xff",
    b"\xfe\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff",
];

/// Numbers at the edges of their types.
const EDGES: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 32,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// One of the seeds, broken once or a few times. One in sixty-four stays whole: what is valid must keep working, too.
pub(super) fn mutated(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seed(random, seeds).to_vec();
    if random.below(64) == 0 {
        return input;
    }
    for _ in 0..[1, 1, 1, 2, 3, 5][random.below(6) as usize] {
        mutate(random, &mut input, seeds);
        input.truncate(LONGEST);
    }
    input
}

fn seed<'a>(random: &mut Random, seeds: &'a [Vec<u8>]) -> &'a [u8] {
    &seeds[random.below(seeds.len() as u64) as usize]
}

fn mutate(random: &mut Random, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    match random.below(20) {
        0 | 1 => flip(random, input),
        2 => {
            let at = place(random, input);
            input.truncate(at);
        }
        3 => {
            let part = range(random, input);
            input.drain(part);
        }
        4 => repeat(random, input),
        5 | 6 => {
            let other = seed(random, seeds);
            splice(random, input, other);
        }
        7 | 8 => overwrite(random, input),
        9 | 10 => number(random, input),
        11 | 12 => value(random, input),
        13 => insert(random, input, b"[{", 3_000),
        14 => nest_a_value(random, input),
        15 => put(random, input, &TOKENS),
        16 => put(random, input, &BYTES),
        17 => {
            let most = if rarely(random) { 100_000 } else { 600 };
            insert(random, input, b"a0 \"\xffx", most);
        }
        18 => {
            let part = range(random, input);
            input[part].reverse();
        }
        _ => change_case(random, input),
    }
}

fn rarely(random: &mut Random) -> bool {
    random.below(16) == 0
}

/// Any place, the end included.
fn place(random: &mut Random, input: &[u8]) -> usize {
    random.below(input.len() as u64 + 1) as usize
}

/// Any part; short ones more often, as most fields are short.
fn range(random: &mut Random, input: &[u8]) -> Range<usize> {
    let from = place(random, input);
    let most = if random.below(2) == 0 { 8 } else { input.len() };
    from..(from + random.below(most as u64 + 1) as usize).min(input.len())
}

fn flip(random: &mut Random, input: &mut [u8]) {
    for _ in 0..=random.below(3) {
        let at = place(random, input);
        if let Some(byte) = input.get_mut(at) {
            *byte = if random.below(2) == 0 { *byte ^ (1 << random.below(8)) } else { random.next() as u8 };
        }
    }
}

fn repeat(random: &mut Random, input: &mut Vec<u8>) {
    let part = range(random, input);
    let times = if rarely(random) { 500 } else { 3 };
    let copies = input[part.clone()].repeat(random.below(times) as usize + 1);
    input.splice(part.end..part.end, copies);
}

/// The beginning of this one and the end of another, or a part of the other in the middle.
fn splice(random: &mut Random, input: &mut Vec<u8>, other: &[u8]) {
    let at = place(random, input);
    let part = range(random, other);
    if random.below(2) == 0 {
        input.truncate(at);
        input.extend_from_slice(&other[part.start..]);
    } else {
        input.splice(at..at, other[part].iter().copied());
    }
}

/// A length, count or amount becomes one at the edge.
fn overwrite(random: &mut Random, input: &mut [u8]) {
    let width = [1, 2, 4, 8][random.below(4) as usize];
    let edge = EDGES[random.below(EDGES.len() as u64) as usize];
    let bytes = if random.below(2) == 0 {
        edge.to_le_bytes()[..width].to_vec()
    } else {
        edge.to_be_bytes()[8 - width..].to_vec()
    };
    let at = place(random, input);
    for (byte, new) in input.iter_mut().skip(at).zip(bytes) {
        *byte = new;
    }
}

/// A run of digits becomes another number.
fn number(random: &mut Random, input: &mut Vec<u8>) {
    let runs = runs(input, |byte| byte.is_ascii_digit());
    replace_one(random, input, &runs);
}

/// A value between JSON's marks becomes another.
fn value(random: &mut Random, input: &mut Vec<u8>) {
    let runs = runs(input, |byte| !b":,{}[]/".contains(byte));
    replace_one(random, input, &runs);
}

fn replace_one(random: &mut Random, input: &mut Vec<u8>, runs: &[Range<usize>]) {
    if runs.is_empty() {
        return;
    }
    let run = runs[random.below(runs.len() as u64) as usize].clone();
    let new = match random.below(4) {
        0 => random.next().to_string().into_bytes(),
        1 => random.json(3).into_bytes(),
        _ => TOKENS[random.below(TOKENS.len() as u64) as usize].to_vec(),
    };
    input.splice(run, new);
}

fn runs(input: &[u8], belongs: impl Fn(&u8) -> bool) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (at, _) in input.iter().enumerate().filter(|(_, byte)| belongs(byte)) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

fn insert(random: &mut Random, input: &mut Vec<u8>, bytes: &[u8], most: u64) {
    let byte = bytes[random.below(bytes.len() as u64) as usize];
    let at = place(random, input);
    let many = vec![byte; random.below(most) as usize];
    input.splice(at..at, many);
}

/// A value inside hundreds of arrays or objects, closed again: valid JSON as deep as can be.
fn nest_a_value(random: &mut Random, input: &mut Vec<u8>) {
    let depth = random.below(400) as usize;
    let part = range(random, input);
    let (open, close) = if random.below(2) == 0 { ("[", "]") } else { ("{\"a\":", "}") };
    input.splice(part.end..part.end, close.repeat(depth).into_bytes());
    input.splice(part.start..part.start, open.repeat(depth).into_bytes());
}

fn put(random: &mut Random, input: &mut Vec<u8>, tokens: &[&[u8]]) {
    let token = tokens[random.below(tokens.len() as u64) as usize];
    let at = place(random, input);
    input.splice(at..at, token.iter().copied());
}

fn change_case(random: &mut Random, input: &mut [u8]) {
    let part = range(random, input);
    for byte in &mut input[part] {
        *byte = if byte.is_ascii_lowercase() { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
    }
}

#[test]
fn the_same_seed_breaks_the_same_way_and_another_seed_another_way() {
    let seeds = [b"{\"height\":7}".to_vec(), b"512345x1203x5".to_vec()];
    let inputs = |seed| {
        let mut random = Random::seeded(seed);
        (0..200).map(|_| mutated(&mut random, &seeds)).collect::<Vec<_>>()
    };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
    let broken: std::collections::HashSet<Vec<u8>> = inputs(1).into_iter().collect();
    assert!(broken.len() > 150, "{} different ones of 200", broken.len());
}
