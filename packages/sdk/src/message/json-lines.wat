;; Checks that each line of a block is one JSON value (RFC 8259), without making anything of it.
;;
;; check(length, maxDepth) reads [0, length) of the memory, which must begin at a line's first byte and end behind a newline,
;; with at least 64 bytes of spaces behind it. For each line it writes the offset of its newline, 32 bits, at ENDS (0x140000);
;; 512 Ki of them have room. It answers the number of lines, or -1 - offset where the text is no JSON. At RESULT (0x350000)
;; it leaves: the lines that were whole before that, whether values lie deeper than maxDepth (the reason of a failure), and
;; how many lines were blank; those are no failure. Which bracket is open at a depth is a byte each at STACK (0x340000).
;; That the bytes are UTF-8 is asked elsewhere.
(module
  (memory (export "memory") 56)
  ;; From behind the opening quote to behind the closing one; -1 where the string is none.
  (func $string (param $p i32) (result i32)
    (local $v v128) (local $mask i32) (local $c i32) (local $n i32)
    (loop $more
      (local.set $v (v128.load (local.get $p)))
      (local.set $mask
        (i8x16.bitmask
          (v128.or
            (v128.or
              (i8x16.eq (local.get $v) (i8x16.splat (i32.const 34)))
              (i8x16.eq (local.get $v) (i8x16.splat (i32.const 92))))
            (i8x16.lt_u (local.get $v) (i8x16.splat (i32.const 32))))))
      (if (i32.eqz (local.get $mask))
        (then
          (local.set $p (i32.add (local.get $p) (i32.const 16)))
          (br $more)))
      (local.set $p (i32.add (local.get $p) (i32.ctz (local.get $mask))))
      (local.set $c (i32.load8_u (local.get $p)))
      (if (i32.eq (local.get $c) (i32.const 34)) (then (return (i32.add (local.get $p) (i32.const 1)))))
      (if (i32.ne (local.get $c) (i32.const 92)) (then (return (i32.const -1))))
      (local.set $c (i32.load8_u offset=1 (local.get $p)))
      (local.set $p (i32.add (local.get $p) (i32.const 2)))
      ;; " \ / b f n r t
      (br_if $more (i32.eq (local.get $c) (i32.const 34)))
      (br_if $more (i32.eq (local.get $c) (i32.const 92)))
      (br_if $more (i32.eq (local.get $c) (i32.const 47)))
      (br_if $more (i32.eq (local.get $c) (i32.const 98)))
      (br_if $more (i32.eq (local.get $c) (i32.const 102)))
      (br_if $more (i32.eq (local.get $c) (i32.const 110)))
      (br_if $more (i32.eq (local.get $c) (i32.const 114)))
      (br_if $more (i32.eq (local.get $c) (i32.const 116)))
      (if (i32.ne (local.get $c) (i32.const 117)) (then (return (i32.const -1))))
      (local.set $n (i32.const 4))
      (loop $hex
        (local.set $c (i32.load8_u (local.get $p)))
        (if
          (i32.eqz
            (i32.or
              (i32.lt_u (i32.sub (local.get $c) (i32.const 48)) (i32.const 10))
              (i32.lt_u (i32.sub (i32.or (local.get $c) (i32.const 32)) (i32.const 97)) (i32.const 6))))
          (then (return (i32.const -1))))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br_if $hex (local.get $n)))
      (br $more))
    (unreachable))
  ;; Behind the digits at $p, of which there must be one; -1 where there is none.
  (func $digits (param $p i32) (result i32)
    (if (i32.ge_u (i32.sub (i32.load8_u (local.get $p)) (i32.const 48)) (i32.const 10)) (then (return (i32.const -1))))
    (loop $more
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (br_if $more (i32.lt_u (i32.sub (i32.load8_u (local.get $p)) (i32.const 48)) (i32.const 10))))
    (local.get $p))
  ;; Behind the number that begins at $p; -1 where none does.
  (func $number (param $p i32) (result i32)
    (local $c i32)
    (if (i32.eq (i32.load8_u (local.get $p)) (i32.const 45))
      (then (local.set $p (i32.add (local.get $p) (i32.const 1)))))
    (if (i32.eq (i32.load8_u (local.get $p)) (i32.const 48))
      (then (local.set $p (i32.add (local.get $p) (i32.const 1))))
      (else
        (local.set $p (call $digits (local.get $p)))
        (if (i32.lt_s (local.get $p) (i32.const 0)) (then (return (i32.const -1))))))
    (if (i32.eq (i32.load8_u (local.get $p)) (i32.const 46))
      (then
        (local.set $p (call $digits (i32.add (local.get $p) (i32.const 1))))
        (if (i32.lt_s (local.get $p) (i32.const 0)) (then (return (i32.const -1))))))
    (if (i32.eq (i32.or (i32.load8_u (local.get $p)) (i32.const 32)) (i32.const 101))
      (then
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (local.set $c (i32.load8_u (local.get $p)))
        (if (i32.or (i32.eq (local.get $c) (i32.const 43)) (i32.eq (local.get $c) (i32.const 45)))
          (then (local.set $p (i32.add (local.get $p) (i32.const 1)))))
        (return (call $digits (local.get $p)))))
    (local.get $p))
  (func $fail (param $lines i32) (param $blank i32) (param $deep i32) (param $at i32) (result i32)
    (i32.store (i32.const 0x350000) (local.get $lines))
    (i32.store offset=4 (i32.const 0x350000) (local.get $deep))
    (i32.store offset=8 (i32.const 0x350000) (local.get $blank))
    (i32.sub (i32.const -1) (local.get $at)))
  ;; $mode: 0 a value must come; 1 an object was opened; 2 a key must come; 3 behind a value; 4 an array was opened.
  (func (export "check") (param $length i32) (param $maxDepth i32) (result i32)
    (local $p i32) (local $q i32) (local $c i32) (local $mode i32) (local $depth i32) (local $object i32)
    (local $lines i32) (local $blank i32)
    (block $failed
      (loop $next
        (if (i32.ge_u (local.get $p) (local.get $length))
          (then
            (drop (call $fail (local.get $lines) (local.get $blank) (i32.const 0) (i32.const 0)))
            (return (local.get $lines))))
        (local.set $c (i32.load8_u (local.get $p)))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (if (i32.le_u (local.get $c) (i32.const 32))
          (then
            (br_if $next (i32.eq (local.get $c) (i32.const 32)))
            (br_if $next (i32.eq (local.get $c) (i32.const 9)))
            (br_if $next (i32.eq (local.get $c) (i32.const 13)))
            (br_if $failed (i32.ne (local.get $c) (i32.const 10)))
            (br_if $failed (local.get $depth))
            (if (i32.eqz (local.get $mode)) (then (local.set $blank (i32.add (local.get $blank) (i32.const 1)))))
            (i32.store offset=0x140000
              (i32.shl (local.get $lines) (i32.const 2))
              (i32.sub (local.get $p) (i32.const 1)))
            (local.set $lines (i32.add (local.get $lines) (i32.const 1)))
            (local.set $mode (i32.const 0))
            (br $next)))
        (if (i32.eq (local.get $mode) (i32.const 3))
          (then
            (br_if $failed (i32.eqz (local.get $depth)))
            (local.set $object (i32.load8_u offset=0x33ffff (local.get $depth)))
            (if (i32.eq (local.get $c) (i32.const 44))
              (then
                (local.set $mode (i32.shl (local.get $object) (i32.const 1)))
                (br $next)))
            ;; ] is 93, } is 125
            (br_if $failed
              (i32.ne (local.get $c) (i32.add (i32.const 93) (i32.shl (local.get $object) (i32.const 5)))))
            (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
            (br $next)))
        (if (i32.eq (i32.shr_u (i32.add (local.get $mode) (i32.const 1)) (i32.const 1)) (i32.const 1))
          (then
            (if (i32.and (i32.eq (local.get $c) (i32.const 125)) (i32.eq (local.get $mode) (i32.const 1)))
              (then
                (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
                (local.set $mode (i32.const 3))
                (br $next)))
            (br_if $failed (i32.ne (local.get $c) (i32.const 34)))
            (local.set $q (call $string (local.get $p)))
            (br_if $failed (i32.lt_s (local.get $q) (i32.const 0)))
            (local.set $p (local.get $q))
            (loop $colon
              (local.set $c (i32.load8_u (local.get $p)))
              (local.set $p (i32.add (local.get $p) (i32.const 1)))
              (br_if $colon (i32.eq (local.get $c) (i32.const 32)))
              (br_if $colon (i32.eq (local.get $c) (i32.const 9)))
              (br_if $colon (i32.eq (local.get $c) (i32.const 13))))
            (br_if $failed (i32.ne (local.get $c) (i32.const 58)))
            (local.set $mode (i32.const 0))
            (br $next)))
        (if (i32.eq (local.get $c) (i32.const 34))
          (then
            (local.set $q (call $string (local.get $p)))
            (br_if $failed (i32.lt_s (local.get $q) (i32.const 0)))
            (local.set $p (local.get $q))
            (local.set $mode (i32.const 3))
            (br $next)))
        ;; { and [ differ by one bit
        (if (i32.eq (i32.or (local.get $c) (i32.const 32)) (i32.const 123))
          (then
            (local.set $object (i32.eq (local.get $c) (i32.const 123)))
            (local.set $depth (i32.add (local.get $depth) (i32.const 1)))
            (if (i32.gt_u (local.get $depth) (local.get $maxDepth))
              (then
                (return
                  (call $fail (local.get $lines) (local.get $blank) (i32.const 1)
                    (i32.sub (local.get $p) (i32.const 1))))))
            (i32.store8 offset=0x33ffff (local.get $depth) (local.get $object))
            (local.set $mode (select (i32.const 1) (i32.const 4) (local.get $object)))
            (br $next)))
        (if (i32.and (i32.eq (local.get $c) (i32.const 93)) (i32.eq (local.get $mode) (i32.const 4)))
          (then
            (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
            (local.set $mode (i32.const 3))
            (br $next)))
        (local.set $mode (i32.const 3))
        ;; true, null, false
        (if (i32.eq (i32.load (i32.sub (local.get $p) (i32.const 1))) (i32.const 0x65757274))
          (then (local.set $p (i32.add (local.get $p) (i32.const 3))) (br $next)))
        (if (i32.eq (i32.load (i32.sub (local.get $p) (i32.const 1))) (i32.const 0x6c6c756e))
          (then (local.set $p (i32.add (local.get $p) (i32.const 3))) (br $next)))
        (if (i32.and (i32.eq (local.get $c) (i32.const 102)) (i32.eq (i32.load (local.get $p)) (i32.const 0x65736c61)))
          (then (local.set $p (i32.add (local.get $p) (i32.const 4))) (br $next)))
        (local.set $q (call $number (i32.sub (local.get $p) (i32.const 1))))
        (br_if $failed (i32.lt_s (local.get $q) (i32.const 0)))
        (local.set $p (local.get $q))
        (br $next)))
    (call $fail (local.get $lines) (local.get $blank) (i32.const 0) (i32.sub (local.get $p) (i32.const 1)))))
