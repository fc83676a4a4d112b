//! Small random damage to valid input, for tests on toolchains without libFuzzer.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What decoders trip over: ends of ranges, continued varints, and what has a meaning in texts.
const SPECIAL: &[u8] = b"\x00\x01\x7f\x80\xff\x0a\x12\x0b \t\n\"'`\\{}[]()<>|=!~,:;.-+/*%@#$0159aeExNu\xc3\xa4";

/// Longest input that is made.
const LONGEST: usize = 1 << 14;

/// Marsaglia's xorshift: the same numbers in every run.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`, or 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap_or(0).checked_rem(end).unwrap_or(0)
    }

    fn pick(&mut self, bytes: &[u8]) -> u8 {
        bytes.get(self.below(bytes.len())).copied().unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        match self.next() & 0x300 {
            0 => self.next().to_le_bytes()[0],
            _ => self.pick(SPECIAL),
        }
    }
}

/// Runs `target` on each of `seeds`, then `rounds` times on one of them with one to four changes.
///
/// # Panics
/// When the target does; the message names the input.
pub fn rounds(seeds: &[&[u8]], rounds: u32, target: fn(&[u8])) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for seed in seeds {
        run(seed, target);
    }
    for _ in 0..rounds {
        let mut input = seeds.get(random.below(seeds.len())).copied().unwrap_or_default().to_vec();
        for _ in 0..=random.below(4) {
            change(&mut input, seeds, &mut random);
        }
        input.truncate(LONGEST);
        run(&input, target);
    }
}

fn run(input: &[u8], target: fn(&[u8])) {
    let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
    assert!(outcome.is_ok(), "the target panicked on b\"{}\"", input.escape_ascii());
}

fn change(input: &mut Vec<u8>, seeds: &[&[u8]], random: &mut Random) {
    let at = random.below(input.len());
    let end = (at + 1 + random.below(12)).min(input.len());
    let byte = random.byte();
    match random.below(8) {
        0 => input.truncate(at),
        1 => drop(input.drain(at.min(end)..end)),
        2 => input.insert(at, byte),
        3 => input.extend_from_within(at.min(end)..end),
        4 => {
            // The end of another seed, from somewhere.
            let other = seeds.get(random.below(seeds.len())).copied().unwrap_or_default();
            input.truncate(at);
            input.extend_from_slice(other.get(random.below(other.len())..).unwrap_or_default());
        }
        5 => {
            let bit = 1 << random.below(8);
            input.get_mut(at).into_iter().for_each(|byte| *byte ^= bit);
        }
        _ => input.get_mut(at).into_iter().for_each(|old| *old = byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_deep_in_the_input_is_found_and_named() {
        fn target(bytes: &[u8]) {
            assert!(!bytes.windows(2).any(|pair| pair == b"\"\""), "two quotes");
        }
        let error = catch_unwind(|| rounds(&[b"{\"a\": 1}", b""], 5000, target)).unwrap_err();
        let message = error.downcast_ref::<String>().unwrap();
        assert!(message.contains("\\\"\\\""), "{message}");
    }
}
