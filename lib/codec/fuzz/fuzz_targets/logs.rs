#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| yagura_codec::fuzzing::logs(bytes));
