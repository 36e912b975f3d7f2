;; Finds lines and the extents of records in a block of JSON lines, 64 bytes at a step.
;;
;; scan(length, numbers) reads [0, length) of the memory, which must begin at a line's first byte and end behind a newline, with
;; at least 64 bytes of spaces behind it. For each line it writes two 32-bit integers at OUT (1 MiB): the offset of its
;; newline, and the offset behind the first value that closes back to depth one (the record, where that is the first
;; nested value), or -1. Where `numbers` is not 0, bit 30 of the first says that outside of strings the line holds sixteen characters of a number in
;; a row or a digit with an e behind it: elsewhere a double holds every number. It answers the number of lines, or -1 where
;; a line is not so simple (an open string at its end, nested deeper than 1,000): then the caller takes the slow way for
;; the block.
;;
;; gather(line, lines, from, prefixLength, headLength, hash) goes on where a scan ended: from line number `line` on, which
;; begins at `from`, it takes lines as long as each is the prefix (at PREFIX, 3 MiB), a record, and then either } or the
;; head (at HEAD, 64 KiB further) with up to 100 plain characters, a quote and }. It puts the records at GATHERED (128 KiB
;; further), a newline behind each, and answers how many. At RESULT (3 MiB - 64, which no table reaches) it leaves the
;; length of what it put there and, where `hash` is not 0, the sums of both halves of the records' hashes
;; (books/digest.ts), 64 bits each.
(module
  (memory (export "memory") 56)
  (func $bits (param $v v128) (param $c v128) (result i64)
    (i64.extend_i32_u (i8x16.bitmask (i8x16.eq (local.get $v) (local.get $c)))))
  (func $mask (param $at i32) (param $c v128) (result i64)
    (i64.or
      (i64.or
        (call $bits (v128.load (local.get $at)) (local.get $c))
        (i64.shl (call $bits (v128.load offset=16 (local.get $at)) (local.get $c)) (i64.const 16)))
      (i64.or
        (i64.shl (call $bits (v128.load offset=32 (local.get $at)) (local.get $c)) (i64.const 32))
        (i64.shl (call $bits (v128.load offset=48 (local.get $at)) (local.get $c)) (i64.const 48)))))
  ;; The same for bytes with bit 0x20 set, so that [ and { are one question, and ] and } another.
  (func $maskFolded (param $at i32) (param $c v128) (result i64)
    (local $fold v128)
    (local.set $fold (i8x16.splat (i32.const 0x20)))
    (i64.or
      (i64.or
        (call $bits (v128.or (v128.load (local.get $at)) (local.get $fold)) (local.get $c))
        (i64.shl (call $bits (v128.or (v128.load offset=16 (local.get $at)) (local.get $fold)) (local.get $c)) (i64.const 16)))
      (i64.or
        (i64.shl (call $bits (v128.or (v128.load offset=32 (local.get $at)) (local.get $fold)) (local.get $c)) (i64.const 32))
        (i64.shl (call $bits (v128.or (v128.load offset=48 (local.get $at)) (local.get $fold)) (local.get $c)) (i64.const 48)))))
  ;; The bytes of numbers: digits and . + - e E. A slash counts too; outside of strings JSON has none.
  (func $numberBytes (param $v v128) (result i64)
    (i64.extend_i32_u (i8x16.bitmask
      (v128.or
        (v128.andnot
          (i8x16.lt_u (i8x16.sub (local.get $v) (i8x16.splat (i32.const 43))) (i8x16.splat (i32.const 15)))
          (i8x16.eq (local.get $v) (i8x16.splat (i32.const 44))))
        (i8x16.eq (v128.or (local.get $v) (i8x16.splat (i32.const 0x20))) (i8x16.splat (i32.const 101)))))))
  (func $numbers (param $at i32) (result i64)
    (i64.or
      (i64.or
        (call $numberBytes (v128.load (local.get $at)))
        (i64.shl (call $numberBytes (v128.load offset=16 (local.get $at))) (i64.const 16)))
      (i64.or
        (i64.shl (call $numberBytes (v128.load offset=32 (local.get $at))) (i64.const 32))
        (i64.shl (call $numberBytes (v128.load offset=48 (local.get $at))) (i64.const 48)))))
  ;; Bits of $m whose predecessor by $n places is set too; $p is the mask of the block before.
  (func $runs (param $m i64) (param $p i64) (param $n i64) (result i64)
    (i64.and (local.get $m)
      (i64.or
        (i64.shl (local.get $m) (local.get $n))
        (i64.shr_u (local.get $p) (i64.sub (i64.const 64) (local.get $n))))))
  (func (export "scan") (param $length i32) (param $numbers i32) (result i32)
    (local $flag i32) (local $marks i64)
    (local $n1 i64) (local $n2 i64) (local $n4 i64) (local $n8 i64) (local $p1 i64) (local $p2 i64) (local $p4 i64) (local $p8 i64)
    (local $at i32) (local $out i32) (local $depth i32) (local $returned i32) (local $i i32)
    (local $quotes i64) (local $slashes i64) (local $opens i64) (local $closes i64) (local $newlines i64)
    (local $escaped i64) (local $carry i64) (local $strings i64) (local $before i64) (local $todo i64) (local $bit i64)
    (local $vQuote v128) (local $vSlash v128) (local $vOpen v128) (local $vClose v128) (local $vNewline v128)
    (local.set $vQuote (i8x16.splat (i32.const 34)))
    (local.set $vSlash (i8x16.splat (i32.const 92)))
    (local.set $vOpen (i8x16.splat (i32.const 0x7b)))
    (local.set $vClose (i8x16.splat (i32.const 0x7d)))
    (local.set $vNewline (i8x16.splat (i32.const 10)))
    (local.set $out (i32.const 1048576))
    (local.set $returned (i32.const -1))
    (block $end
      (loop $blocks
        (br_if $end (i32.ge_u (local.get $at) (local.get $length)))
        (local.set $quotes (call $mask (local.get $at) (local.get $vQuote)))
        (local.set $slashes (call $mask (local.get $at) (local.get $vSlash)))
        (local.set $newlines (call $mask (local.get $at) (local.get $vNewline)))
        (local.set $opens (call $maskFolded (local.get $at) (local.get $vOpen)))
        (local.set $closes (call $maskFolded (local.get $at) (local.get $vClose)))
        ;; Which bytes are escaped: one bit for each unescaped backslash, moved on by one. $carry: the block before ended in one.
        (local.set $escaped (local.get $carry))
        (local.set $carry (i64.const 0))
        (if (i64.ne (local.get $slashes) (i64.const 0))
          (then
            (local.set $todo (i64.and (local.get $slashes) (i64.xor (local.get $escaped) (i64.const -1))))
            (block $slashesDone
              (loop $each
                (br_if $slashesDone (i64.eqz (local.get $todo)))
                (local.set $bit (i64.and (local.get $todo) (i64.sub (i64.const 0) (local.get $todo))))
                (local.set $todo (i64.xor (local.get $todo) (local.get $bit)))
                (if (i64.lt_s (local.get $bit) (i64.const 0))
                  (then (local.set $carry (i64.const 1)))
                  (else
                    (local.set $bit (i64.shl (local.get $bit) (i64.const 1)))
                    (local.set $escaped (i64.or (local.get $escaped) (local.get $bit)))
                    (local.set $todo (i64.and (local.get $todo) (i64.xor (local.get $bit) (i64.const -1))))))
                (br $each)))))
        (local.set $quotes (i64.and (local.get $quotes) (i64.xor (local.get $escaped) (i64.const -1))))
        ;; Inside strings: the running parity of quotes.
        (local.set $strings (i64.xor (local.get $quotes) (i64.shl (local.get $quotes) (i64.const 1))))
        (local.set $strings (i64.xor (local.get $strings) (i64.shl (local.get $strings) (i64.const 2))))
        (local.set $strings (i64.xor (local.get $strings) (i64.shl (local.get $strings) (i64.const 4))))
        (local.set $strings (i64.xor (local.get $strings) (i64.shl (local.get $strings) (i64.const 8))))
        (local.set $strings (i64.xor (local.get $strings) (i64.shl (local.get $strings) (i64.const 16))))
        (local.set $strings (i64.xor (local.get $strings) (i64.shl (local.get $strings) (i64.const 32))))
        (local.set $strings (i64.xor (local.get $strings) (local.get $before)))
        (local.set $before (i64.shr_s (local.get $strings) (i64.const 63)))
        (if (i64.ne (i64.and (local.get $newlines) (local.get $strings)) (i64.const 0)) (then (return (i32.const -1))))
        (if (local.get $numbers)
          (then
            ;; Long numbers: runs of two, four, eight and sixteen, each made of the one before.
            (local.set $n1 (i64.and (call $numbers (local.get $at)) (i64.xor (local.get $strings) (i64.const -1))))
            (local.set $n2 (call $runs (local.get $n1) (local.get $p1) (i64.const 1)))
            (local.set $n4 (call $runs (local.get $n2) (local.get $p2) (i64.const 2)))
            (local.set $n8 (call $runs (local.get $n4) (local.get $p4) (i64.const 4)))
            (local.set $marks (call $runs (local.get $n8) (local.get $p8) (i64.const 8)))
            ;; An e among the bytes of numbers that has one of them before it: true and false have not.
            (if (i64.ne (local.get $n2) (i64.const 0))
              (then
                (local.set $marks
                  (i64.or (local.get $marks)
                    (i64.and (local.get $n2) (call $maskFolded (local.get $at) (i8x16.splat (i32.const 101))))))))
            (local.set $p1 (local.get $n1))
            (local.set $p2 (local.get $n2))
            (local.set $p4 (local.get $n4))
            (local.set $p8 (local.get $n8))))
        (local.set $todo
          (i64.or (i64.or (local.get $newlines) (local.get $marks))
            (i64.and (i64.or (local.get $opens) (local.get $closes)) (i64.xor (local.get $strings) (i64.const -1)))))
        (block $done
          (loop $each
            (br_if $done (i64.eqz (local.get $todo)))
            (local.set $bit (i64.and (local.get $todo) (i64.sub (i64.const 0) (local.get $todo))))
            (local.set $todo (i64.xor (local.get $todo) (local.get $bit)))
            (local.set $i (i32.add (local.get $at) (i32.wrap_i64 (i64.ctz (local.get $bit)))))
            (if (i64.ne (i64.and (local.get $marks) (local.get $bit)) (i64.const 0))
              (then
                (local.set $flag (i32.const 0x40000000))
                (br $each)))
            (if (i64.ne (i64.and (local.get $opens) (local.get $bit)) (i64.const 0))
              (then
                (local.set $depth (i32.add (local.get $depth) (i32.const 1)))
                (if (i32.gt_s (local.get $depth) (i32.const 1000)) (then (return (i32.const -1)))))
              (else
                (if (i64.ne (i64.and (local.get $closes) (local.get $bit)) (i64.const 0))
                  (then
                    (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
                    (if (i32.and (i32.eq (local.get $depth) (i32.const 1)) (i32.lt_s (local.get $returned) (i32.const 0)))
                      (then (local.set $returned (i32.add (local.get $i) (i32.const 1))))))
                  (else
                    (i32.store (local.get $out) (i32.or (local.get $i) (local.get $flag)))
                    (local.set $flag (i32.const 0))
                    (i32.store offset=4 (local.get $out) (local.get $returned))
                    (local.set $out (i32.add (local.get $out) (i32.const 8)))
                    (local.set $depth (i32.const 0))
                    (local.set $returned (i32.const -1))))))
            (br $each)))
        (local.set $at (i32.add (local.get $at) (i32.const 64)))
        (br $blocks)))
    (i32.shr_u (i32.sub (local.get $out) (i32.const 1048576)) (i32.const 3)))
  ;; Whether $length bytes at $a and at $b are the same.
  (func $same (param $a i32) (param $b i32) (param $length i32) (result i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $a) (local.get $length)))
    (block $bytes
      (loop $blocks
        (br_if $bytes (i32.gt_u (i32.add (local.get $a) (i32.const 16)) (local.get $end)))
        (if (i32.eqz (i8x16.all_true (i8x16.eq (v128.load (local.get $a)) (v128.load (local.get $b)))))
          (then (return (i32.const 0))))
        (local.set $a (i32.add (local.get $a) (i32.const 16)))
        (local.set $b (i32.add (local.get $b) (i32.const 16)))
        (br $blocks)))
    ;; What is left is compared together with what was compared before.
    (if (i32.ge_u (local.get $length) (i32.const 16))
      (then
        (local.set $length (i32.sub (i32.const 16) (i32.sub (local.get $end) (local.get $a))))
        (return (i8x16.all_true (i8x16.eq
          (v128.load (i32.sub (local.get $a) (local.get $length)))
          (v128.load (i32.sub (local.get $b) (local.get $length))))))))
    (block $done
      (loop $each
        (br_if $done (i32.ge_u (local.get $a) (local.get $end)))
        (if (i32.ne (i32.load8_u (local.get $a)) (i32.load8_u (local.get $b))) (then (return (i32.const 0))))
        (local.set $a (i32.add (local.get $a) (i32.const 1)))
        (local.set $b (i32.add (local.get $b) (i32.const 1)))
        (br $each)))
    (i32.const 1))
  ;; The bytes that may not stand in the time of a tail: controls, quotes, backslashes.
  (func $odd (param $v v128) (result v128)
    (v128.or
      (i8x16.lt_u (local.get $v) (i8x16.splat (i32.const 32)))
      (v128.or
        (i8x16.eq (local.get $v) (i8x16.splat (i32.const 34)))
        (i8x16.eq (local.get $v) (i8x16.splat (i32.const 92))))))
  ;; Whether [$at, $end) is } alone, or the head, a time, a quote and }.
  (func $isTail (param $at i32) (param $end i32) (param $headLength i32) (result i32)
    (local $c i32) (local $last i32)
    (local.set $last (i32.sub (local.get $end) (i32.const 1)))
    (if (i32.or
          (i32.lt_s (local.get $last) (local.get $at))
          (i32.ne (i32.load8_u (local.get $last)) (i32.const 125)))
      (then (return (i32.const 0))))
    (if (i32.eq (local.get $at) (local.get $last)) (then (return (i32.const 1))))
    (local.set $last (i32.sub (local.get $last) (i32.const 1)))
    (if (i32.or
          (i32.gt_s (i32.sub (local.get $end) (local.get $at)) (i32.add (local.get $headLength) (i32.const 102)))
          (i32.lt_s (local.get $last) (i32.add (local.get $at) (local.get $headLength))))
      (then (return (i32.const 0))))
    (if (i32.eqz (call $same (local.get $at) (i32.const 0x310000) (local.get $headLength))) (then (return (i32.const 0))))
    (local.set $at (i32.add (local.get $at) (local.get $headLength)))
    (if (i32.ne (i32.load8_u (local.get $last)) (i32.const 34)) (then (return (i32.const 0))))
    (block $short
      (loop $blocks
        (br_if $short (i32.gt_s (i32.add (local.get $at) (i32.const 16)) (local.get $last)))
        (if (v128.any_true (call $odd (v128.load (local.get $at)))) (then (return (i32.const 0))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $blocks)))
    (block $done
      (loop $each
        (br_if $done (i32.ge_s (local.get $at) (local.get $last)))
        (local.set $c (i32.load8_u (local.get $at)))
        (if (i32.or
              (i32.lt_u (local.get $c) (i32.const 32))
              (i32.or (i32.eq (local.get $c) (i32.const 34)) (i32.eq (local.get $c) (i32.const 92))))
          (then (return (i32.const 0))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $each)))
    (i32.const 1))
  ;; Adds the hash of [$i, $to) to the sums at RESULT: hashRecord of books/digest.ts, step by step.
  (func $addHash (param $i i32) (param $to i32)
    (local $h i32) (local $l i32)
    (local.set $h (i32.xor (i32.const 0x9e3779b9) (i32.sub (local.get $to) (local.get $i))))
    (local.set $l (i32.const 0x85ebca6b))
    (block $words
      (loop $eight
        (br_if $words (i32.gt_u (i32.add (local.get $i) (i32.const 8)) (local.get $to)))
        (local.set $h (i32.mul (i32.xor (local.get $h) (i32.load (local.get $i))) (i32.const 0x9e3779b1)))
        (local.set $l (i32.mul (i32.xor (local.get $l) (i32.load offset=4 (local.get $i))) (i32.const 0x85ebca77)))
        (local.set $h (i32.xor (local.get $h) (i32.shr_u (local.get $l) (i32.const 15))))
        (local.set $l (i32.xor (local.get $l) (i32.shr_u (local.get $h) (i32.const 13))))
        (local.set $i (i32.add (local.get $i) (i32.const 8)))
        (br $eight)))
    (block $done
      (loop $each
        (br_if $done (i32.ge_u (local.get $i) (local.get $to)))
        (local.set $h (i32.mul (i32.xor (local.get $h) (i32.load8_u (local.get $i))) (i32.const 0x01000193)))
        (local.set $l (i32.mul (i32.xor (local.get $l) (local.get $h)) (i32.const 0xc2b2ae35)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $each)))
    (local.set $h (i32.xor (local.get $h) (i32.shr_u (local.get $h) (i32.const 16))))
    (local.set $h (i32.xor (i32.mul (local.get $h) (i32.const 0x7feb352d)) (local.get $l)))
    (local.set $l (i32.xor (local.get $l) (i32.shr_u (local.get $l) (i32.const 15))))
    (local.set $l (i32.mul (local.get $l) (i32.const 0x846ca68b)))
    (local.set $h (i32.xor (local.get $h) (i32.shr_u (local.get $h) (i32.const 15))))
    (local.set $l (i32.xor (local.get $l) (i32.shr_u (local.get $l) (i32.const 16))))
    (i64.store (i32.const 0x2fffc8)
      (i64.add (i64.load (i32.const 0x2fffc8)) (i64.extend_i32_u (local.get $h))))
    (i64.store (i32.const 0x2fffd0)
      (i64.add (i64.load (i32.const 0x2fffd0)) (i64.extend_i32_u (local.get $l)))))
  (func (export "gather") (param $line i32) (param $lines i32) (param $from i32)
    (param $prefixLength i32) (param $headLength i32) (param $hash i32) (result i32)
    (local $row i32) (local $newline i32) (local $start i32) (local $to i32) (local $out i32) (local $taken i32)
    (local.set $out (i32.const 0x330000))
    (i64.store (i32.const 0x2fffc8) (i64.const 0))
    (i64.store (i32.const 0x2fffd0) (i64.const 0))
    (local.set $row (i32.add (i32.const 1048576) (i32.shl (local.get $line) (i32.const 3))))
    (block $end
      (loop $each
        (br_if $end (i32.ge_u (local.get $line) (local.get $lines)))
        (local.set $newline (i32.and (i32.load (local.get $row)) (i32.const 0x3fffffff)))
        (local.set $to (i32.load offset=4 (local.get $row)))
        (local.set $start (i32.add (local.get $from) (local.get $prefixLength)))
        (br_if $end (i32.le_s (local.get $to) (local.get $start)))
        (br_if $end (i32.ne (i32.load8_u (local.get $start)) (i32.const 123)))
        (br_if $end (i32.eqz (call $same (local.get $from) (i32.const 0x300000) (local.get $prefixLength))))
        (br_if $end (i32.eqz (call $isTail (local.get $to) (local.get $newline) (local.get $headLength))))
        (memory.copy (local.get $out) (local.get $start) (i32.sub (local.get $to) (local.get $start)))
        (local.set $out (i32.add (local.get $out) (i32.sub (local.get $to) (local.get $start))))
        (i32.store8 (local.get $out) (i32.const 10))
        (local.set $out (i32.add (local.get $out) (i32.const 1)))
        (if (local.get $hash) (then (call $addHash (local.get $start) (local.get $to))))
        (local.set $from (i32.add (local.get $newline) (i32.const 1)))
        (local.set $row (i32.add (local.get $row) (i32.const 8)))
        (local.set $line (i32.add (local.get $line) (i32.const 1)))
        (local.set $taken (i32.add (local.get $taken) (i32.const 1)))
        (br $each)))
    (i32.store (i32.const 0x2fffc0) (i32.sub (local.get $out) (i32.const 0x330000)))
    (local.get $taken)))
