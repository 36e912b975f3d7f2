;; Finds lines and the extents of records in a block of JSON lines, 64 bytes at a step.
;;
;; scan(length) reads [0, length) of the memory, which must begin at a line's first byte and end behind a newline, with
;; at least 64 bytes of spaces behind it. For each line it writes two 32-bit integers at OUT (1 MiB): the offset of its
;; newline, and the offset behind the first value that closes back to depth one (the record, where that is the first
;; nested value), or -1. It answers the number of lines, or -1 where a line is not so simple (an open string at its end,
;; nested deeper than 1,000): then the caller takes the slow way for the block.
(module
  (memory (export "memory") 48)
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
  (func (export "scan") (param $length i32) (result i32)
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
        (local.set $todo
          (i64.or (local.get $newlines)
            (i64.and (i64.or (local.get $opens) (local.get $closes)) (i64.xor (local.get $strings) (i64.const -1)))))
        (block $done
          (loop $each
            (br_if $done (i64.eqz (local.get $todo)))
            (local.set $bit (i64.and (local.get $todo) (i64.sub (i64.const 0) (local.get $todo))))
            (local.set $todo (i64.xor (local.get $todo) (local.get $bit)))
            (local.set $i (i32.add (local.get $at) (i32.wrap_i64 (i64.ctz (local.get $bit)))))
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
                    (i32.store (local.get $out) (local.get $i))
                    (i32.store offset=4 (local.get $out) (local.get $returned))
                    (local.set $out (i32.add (local.get $out) (i32.const 8)))
                    (local.set $depth (i32.const 0))
                    (local.set $returned (i32.const -1))))))
            (br $each)))
        (local.set $at (i32.add (local.get $at) (i32.const 64)))
        (br $blocks)))
    (i32.shr_u (i32.sub (local.get $out) (i32.const 1048576)) (i32.const 3))))
