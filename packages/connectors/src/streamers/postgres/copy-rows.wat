;; From the messages of COPY … TO STDOUT in its text format to RECORD lines: values.ts for whole rows, 16 bytes at a step.
;;
;; The memory: at 0 three 32-bit integers for each column: its form (FORMS of copy-rows.ts), where its label stands and how many
;; bytes it has. A label is what comes before the value: of the first column all that a line begins with, also where there is no
;; column. Behind the integers the labels and the tail, what ends a line. The places of input and output come as arguments; behind both must be 32 bytes.
;;
;; read(in, end, out, outEnd, columns, fixed, tail, tailLength) reads whole messages CopyData, each of one row, from [in, end), and writes
;; lines at `out`. It stops before a message that is not whole or is another one, and before a row for which the room up
;; to outEnd may be too little: six times its bytes and `fixed`, the labels and the tail. It answers where it stopped, or -1 where a row is
;; not as the columns say. `rows` and `written` (globals) tell how many lines it made and where they end.
(module
  (memory (export "memory") 80)
  (global $at (mut i32) (i32.const 0))
  (global $out (mut i32) (i32.const 0))
  (global $rows (export "rows") (mut i32) (i32.const 0))
  (global $written (export "written") (mut i32) (i32.const 0))
  ;; Copies $length bytes to $out, and up to 15 more that what comes next overwrites.
  (func $put (param $from i32) (param $length i32)
    (local $to i32) (local $end i32)
    (local.set $to (global.get $out))
    (local.set $end (i32.add (local.get $to) (local.get $length)))
    (global.set $out (local.get $end))
    (loop $blocks
      (v128.store (local.get $to) (v128.load (local.get $from)))
      (local.set $from (i32.add (local.get $from) (i32.const 16)))
      (local.set $to (i32.add (local.get $to) (i32.const 16)))
      (br_if $blocks (i32.lt_u (local.get $to) (local.get $end)))))
  (func $byte (param $c i32)
    (i32.store8 (global.get $out) (local.get $c))
    (global.set $out (i32.add (global.get $out) (i32.const 1))))
  ;; Copies up to the end of the value, which is a tab or a newline; no other control character can be in it.
  (func $plain
    (local $at i32) (local $out i32) (local $v v128) (local $mask i32)
    (local.set $at (global.get $at))
    (local.set $out (global.get $out))
    (loop $blocks
      (local.set $v (v128.load (local.get $at)))
      (v128.store (local.get $out) (local.get $v))
      (local.set $mask (i8x16.bitmask (i8x16.lt_u (local.get $v) (i8x16.splat (i32.const 32)))))
      (if (i32.eqz (local.get $mask))
        (then
          (local.set $at (i32.add (local.get $at) (i32.const 16)))
          (local.set $out (i32.add (local.get $out) (i32.const 16)))
          (br $blocks))))
    (local.set $mask (i32.ctz (local.get $mask)))
    (global.set $at (i32.add (local.get $at) (local.get $mask)))
    (global.set $out (i32.add (local.get $out) (local.get $mask))))
  ;; A number as it is, NaN and the infinities in quotes.
  (func $number
    (local $from i32)
    (local.set $from (global.get $at))
    (call $plain)
    (if (i32.gt_u (i32.load8_u (i32.sub (global.get $at) (i32.const 1))) (i32.const 57))
      (then
        (global.set $out (i32.sub (global.get $out) (i32.sub (global.get $at) (local.get $from))))
        (call $byte (i32.const 34))
        (global.set $at (local.get $from))
        (call $plain)
        (call $byte (i32.const 34)))))
  ;; Two digits of 0 to 31 as \u00…
  (func $control (param $c i32)
    (i32.store (global.get $out) (i32.const 0x3030755c))
    (i32.store8 offset=4 (global.get $out) (i32.add (i32.const 48) (i32.shr_u (local.get $c) (i32.const 4))))
    (local.set $c (i32.and (local.get $c) (i32.const 15)))
    (i32.store8 offset=5 (global.get $out)
      (i32.add (local.get $c) (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $c) (i32.const 10)))))
    (global.set $out (i32.add (global.get $out) (i32.const 6))))
  ;; A string. COPY has JSON's own escapes but for \v; quotes and other control characters stand as they are in it.
  (func $text
    (local $v v128) (local $mask i32) (local $c i32)
    (call $byte (i32.const 34))
    (block $done
      (loop $blocks
        (local.set $v (v128.load (global.get $at)))
        (v128.store (global.get $out) (local.get $v))
        (local.set $mask (i8x16.bitmask
          (v128.or
            (i8x16.lt_u (local.get $v) (i8x16.splat (i32.const 32)))
            (v128.or
              (i8x16.eq (local.get $v) (i8x16.splat (i32.const 34)))
              (i8x16.eq (local.get $v) (i8x16.splat (i32.const 92)))))))
        (if (i32.eqz (local.get $mask))
          (then
            (global.set $at (i32.add (global.get $at) (i32.const 16)))
            (global.set $out (i32.add (global.get $out) (i32.const 16)))
            (br $blocks)))
        (local.set $mask (i32.ctz (local.get $mask)))
        (global.set $at (i32.add (global.get $at) (local.get $mask)))
        (global.set $out (i32.add (global.get $out) (local.get $mask)))
        (local.set $c (i32.load8_u (global.get $at)))
        (br_if $done (i32.or (i32.eq (local.get $c) (i32.const 9)) (i32.eq (local.get $c) (i32.const 10))))
        (if (i32.eq (local.get $c) (i32.const 92))
          (then
            (local.set $c (i32.load8_u offset=1 (global.get $at)))
            (global.set $at (i32.add (global.get $at) (i32.const 2)))
            (if (i32.eq (local.get $c) (i32.const 118))
              (then (call $control (i32.const 11)))
              (else
                (call $byte (i32.const 92))
                (call $byte (local.get $c)))))
          (else
            (global.set $at (i32.add (global.get $at) (i32.const 1)))
            (if (i32.eq (local.get $c) (i32.const 34))
              (then
                (call $byte (i32.const 92))
                (call $byte (i32.const 34)))
              (else (call $control (local.get $c))))))
        (br $blocks)))
    (call $byte (i32.const 34)))
  ;; JSON text: without COPY's escapes, spaces in the place of line ends and tabs.
  (func $json
    (local $v v128) (local $mask i32) (local $c i32)
    (block $done
      (loop $blocks
        (local.set $v (v128.load (global.get $at)))
        (v128.store (global.get $out) (local.get $v))
        (local.set $mask (i8x16.bitmask
          (v128.or
            (i8x16.lt_u (local.get $v) (i8x16.splat (i32.const 32)))
            (i8x16.eq (local.get $v) (i8x16.splat (i32.const 92))))))
        (if (i32.eqz (local.get $mask))
          (then
            (global.set $at (i32.add (global.get $at) (i32.const 16)))
            (global.set $out (i32.add (global.get $out) (i32.const 16)))
            (br $blocks)))
        (local.set $mask (i32.ctz (local.get $mask)))
        (global.set $at (i32.add (global.get $at) (local.get $mask)))
        (global.set $out (i32.add (global.get $out) (local.get $mask)))
        (br_if $done (i32.ne (i32.load8_u (global.get $at)) (i32.const 92)))
        (local.set $c (i32.load8_u offset=1 (global.get $at)))
        (call $byte (select (i32.const 92) (i32.const 32) (i32.eq (local.get $c) (i32.const 92))))
        (global.set $at (i32.add (global.get $at) (i32.const 2)))
        (br $blocks))))
  ;; A time: T between day and hour, the minutes of the zone ($zone bytes of +00:00) behind it. Infinite ones have neither.
  (func $time (param $zone i32)
    (local $from i32) (local $start i32) (local $c i32) (local $spaces i32)
    (call $byte (i32.const 34))
    (local.set $from (global.get $at))
    (local.set $start (global.get $out))
    (call $plain)
    ;; Of nearly all the day has ten characters, and no era stands at the end.
    (if (i32.and
          (i32.gt_u (i32.sub (global.get $at) (local.get $from)) (i32.const 10))
          (i32.and
            (i32.eq (i32.load8_u offset=10 (local.get $from)) (i32.const 32))
            (i32.ne (i32.load8_u (i32.sub (global.get $at) (i32.const 1))) (i32.const 67))))
      (then
        (i32.store8 offset=10 (local.get $start) (i32.const 84))
        (call $zone (local.get $zone)))
      (else
        (global.set $at (local.get $from))
        (global.set $out (local.get $start))
        (block $done
          (loop $each
            (local.set $c (i32.load8_u (global.get $at)))
            (br_if $done (i32.lt_u (local.get $c) (i32.const 32)))
            (if (i32.eq (local.get $c) (i32.const 32))
              (then
                (local.set $spaces (i32.add (local.get $spaces) (i32.const 1)))
                (if (i32.eq (local.get $spaces) (i32.const 1))
                  (then (local.set $c (i32.const 84)))
                  (else (call $zone (local.get $zone))))))
            (call $byte (local.get $c))
            (global.set $at (i32.add (global.get $at) (i32.const 1)))
            (br $each)))
        (if (i32.eq (local.get $spaces) (i32.const 1)) (then (call $zone (local.get $zone))))))
    (call $byte (i32.const 34)))
  ;; The last $length of the characters +00:00, of which there are 3 or 6.
  (func $zone (param $length i32)
    (i64.store (global.get $out)
      (select (i64.const 0x30303a30302b) (i64.const 0x30303a) (i32.eq (local.get $length) (i32.const 6))))
    (global.set $out (i32.add (global.get $out) (local.get $length))))
  (func $value (param $form i32)
    (if (i32.eq (i32.load16_u (global.get $at)) (i32.const 0x4e5c))
      (then
        (i32.store (global.get $out) (i32.const 0x6c6c756e))
        (global.set $out (i32.add (global.get $out) (i32.const 4)))
        (global.set $at (i32.add (global.get $at) (i32.const 2)))
        (return)))
    (block $json
      (block $instant
        (block $local
          (block $text
            (block $number
              (block $boolean
                (br_table $boolean $number $text $local $instant $json (local.get $form)))
              (if (i32.eq (i32.load8_u (global.get $at)) (i32.const 116))
                (then
                  (i32.store (global.get $out) (i32.const 0x65757274))
                  (global.set $out (i32.add (global.get $out) (i32.const 4))))
                (else
                  (i64.store (global.get $out) (i64.const 0x65736c6166))
                  (global.set $out (i32.add (global.get $out) (i32.const 5)))))
              (global.set $at (i32.add (global.get $at) (i32.const 1)))
              (return))
            (return (call $number)))
          (return (call $text)))
        (return (call $time (i32.const 6))))
      (return (call $time (i32.const 3))))
    (call $json))
  (func (export "read") (param $in i32) (param $end i32) (param $outStart i32) (param $outEnd i32) (param $columns i32)
    (param $fixed i32) (param $tail i32) (param $tailLength i32) (result i32)
    (local $length i32) (local $next i32) (local $column i32) (local $lastColumn i32)
    (global.set $rows (i32.const 0))
    (global.set $written (local.get $outStart))
    (global.set $out (local.get $outStart))
    (local.set $lastColumn (i32.mul (i32.sub (local.get $columns) (i32.const 1)) (i32.const 12)))
    (block $stop
      (loop $each
        (br_if $stop (i32.gt_u (i32.add (local.get $in) (i32.const 5)) (local.get $end)))
        (br_if $stop (i32.ne (i32.load8_u (local.get $in)) (i32.const 100)))
        ;; The length, in the order of the network, which counts itself.
        (local.set $length
          (i32.or
            (i32.or
              (i32.shl (i32.load8_u offset=1 (local.get $in)) (i32.const 24))
              (i32.shl (i32.load8_u offset=2 (local.get $in)) (i32.const 16)))
            (i32.or
              (i32.shl (i32.load8_u offset=3 (local.get $in)) (i32.const 8))
              (i32.load8_u offset=4 (local.get $in)))))
        (br_if $stop (i32.gt_u (local.get $length) (i32.sub (i32.sub (local.get $end) (local.get $in)) (i32.const 1))))
        (br_if $stop
          (i32.gt_u
            (i32.add (i32.add (global.get $out) (local.get $fixed)) (i32.mul (local.get $length) (i32.const 6)))
            (local.get $outEnd)))
        (local.set $next (i32.add (i32.add (local.get $in) (i32.const 1)) (local.get $length)))
        (if (i32.or
              (i32.lt_u (local.get $length) (i32.const 5))
              (i32.ne (i32.load8_u (i32.sub (local.get $next) (i32.const 1))) (i32.const 10)))
          (then (return (i32.const -1))))
        (global.set $at (i32.add (local.get $in) (i32.const 5)))
        (local.set $column (i32.const 0))
        (block $row
          (if (i32.eqz (local.get $columns))
            (then
              (call $put (i32.load offset=4 (i32.const 0)) (i32.load offset=8 (i32.const 0)))
              (br $row)))
          (loop $fields
            (call $put (i32.load offset=4 (local.get $column)) (i32.load offset=8 (local.get $column)))
            (call $value (i32.load (local.get $column)))
            (br_if $row (i32.eq (local.get $column) (local.get $lastColumn)))
            (if (i32.ne (i32.load8_u (global.get $at)) (i32.const 9)) (then (return (i32.const -1))))
            (global.set $at (i32.add (global.get $at) (i32.const 1)))
            (local.set $column (i32.add (local.get $column) (i32.const 12)))
            (br $fields)))
        ;; The value that ended last must have ended with the row.
        (if (i32.ne (i32.add (global.get $at) (i32.const 1)) (local.get $next)) (then (return (i32.const -1))))
        (call $put (local.get $tail) (local.get $tailLength))
        (global.set $written (global.get $out))
        (global.set $rows (i32.add (global.get $rows) (i32.const 1)))
        (local.set $in (local.get $next))
        (br $each)))
    (local.get $in))
)
