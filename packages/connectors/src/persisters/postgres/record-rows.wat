;; From the bytes of plain records to rows of COPY's text format, 16 bytes at a step: what sql/scanner.ts and copy-rows.ts do, for what
;; nearly all records are. Whatever is not as plain as this expects is left to those.
;;
;; The memory: at FIELDS (0) four 32-bit integers for each field that is expected, in the order of the records: where its key
;; stands ("name": with quotes and colon), how many bytes that has, the place of its column's span, and its kind (KINDS of
;; record-rows.ts). At FORMS (32 KiB) one for each column of the table: its form (FORMS). At SPANS (40 KiB) two: where its value
;; begins and ends in the memory, or -1 twice. Records, keys and rows stand where the caller puts them; behind records must be a zero.
(module
  (memory (export "memory") 16)
  ;; Behind the last number: where its point stands; 0 where it has none.
  (global $point (mut i32) (i32.const 0))
  (global $out (mut i32) (i32.const 0))
  (func $same (param $a i32) (param $b i32) (param $length i32) (result i32)
    (local $mask i32)
    (loop $blocks
      (local.set $mask (i8x16.bitmask (i8x16.eq (v128.load (local.get $a)) (v128.load (local.get $b)))))
      (if (i32.lt_u (local.get $length) (i32.const 16))
        (then (local.set $mask (i32.or (local.get $mask) (i32.shl (i32.const -1) (local.get $length))))))
      (if (i32.ne (i32.and (local.get $mask) (i32.const 0xffff)) (i32.const 0xffff)) (then (return (i32.const 0))))
      (if (i32.le_u (local.get $length) (i32.const 16)) (then (return (i32.const 1))))
      (local.set $a (i32.add (local.get $a) (i32.const 16)))
      (local.set $b (i32.add (local.get $b) (i32.const 16)))
      (local.set $length (i32.sub (local.get $length) (i32.const 16)))
      (br $blocks))
    (unreachable))
  ;; Behind the string that begins at $at; 0 where it is none, or has an escape of a character (\u).
  (func $string (param $at i32) (result i32)
    (local $v v128) (local $mask i32) (local $c i32)
    (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 34)) (then (return (i32.const 0))))
    (local.set $at (i32.add (local.get $at) (i32.const 1)))
    (loop $blocks
      (local.set $v (v128.load (local.get $at)))
      (local.set $mask (i8x16.bitmask
        (v128.or
          (i8x16.lt_u (local.get $v) (i8x16.splat (i32.const 32)))
          (v128.or
            (i8x16.eq (local.get $v) (i8x16.splat (i32.const 34)))
            (i8x16.eq (local.get $v) (i8x16.splat (i32.const 92)))))))
      (if (i32.eqz (local.get $mask))
        (then
          (local.set $at (i32.add (local.get $at) (i32.const 16)))
          (br $blocks)))
      (local.set $at (i32.add (local.get $at) (i32.ctz (local.get $mask))))
      (local.set $c (i32.load8_u (local.get $at)))
      (if (i32.eq (local.get $c) (i32.const 34)) (then (return (i32.add (local.get $at) (i32.const 1)))))
      (if (i32.ne (local.get $c) (i32.const 92)) (then (return (i32.const 0))))
      (local.set $c (i32.load8_u offset=1 (local.get $at)))
      ;; " / \ or one of b f n r t, of which bit 97 - c is asked.
      (if (i32.eqz
            (i32.or
              (i32.or (i32.eq (local.get $c) (i32.const 34)) (i32.eq (local.get $c) (i32.const 47)))
              (i32.or
                (i32.eq (local.get $c) (i32.const 92))
                (i32.and
                  (i32.lt_u (i32.sub (local.get $c) (i32.const 97)) (i32.const 26))
                  (i32.shr_u (i32.const 0xa2022) (i32.sub (local.get $c) (i32.const 97)))))))
        (then (return (i32.const 0))))
      (local.set $at (i32.add (local.get $at) (i32.const 2)))
      (br $blocks))
    (unreachable))
  (func $isDigit (param $at i32) (result i32)
    (i32.lt_u (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)) (i32.const 10)))
  (func $digits (param $at i32) (result i32)
    (loop $each
      (if (call $isDigit (local.get $at))
        (then
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $each))))
    (local.get $at))
  ;; Behind the number that begins at $at; 0 where it is none, or has an exponent.
  (func $number (param $at i32) (result i32)
    (local $from i32)
    (global.set $point (i32.const 0))
    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 45))
      (then (local.set $at (i32.add (local.get $at) (i32.const 1)))))
    (if (i32.eqz (call $isDigit (local.get $at))) (then (return (i32.const 0))))
    (local.set $from (local.get $at))
    (local.set $at (call $digits (local.get $at)))
    (if (i32.and
          (i32.eq (i32.load8_u (local.get $from)) (i32.const 48))
          (i32.gt_u (i32.sub (local.get $at) (local.get $from)) (i32.const 1)))
      (then (return (i32.const 0))))
    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 46))
      (then
        (global.set $point (local.get $at))
        (local.set $from (i32.add (local.get $at) (i32.const 1)))
        (local.set $at (call $digits (local.get $from)))
        (if (i32.eq (local.get $at) (local.get $from)) (then (return (i32.const 0))))))
    (if (i32.eq (i32.or (i32.load8_u (local.get $at)) (i32.const 32)) (i32.const 101)) (then (return (i32.const 0))))
    (local.get $at))
  ;; Behind true, false or null; 0 where it is none of them.
  (func $word (param $at i32) (result i32)
    (local $w i32)
    (local.set $w (i32.load (local.get $at)))
    (if (i32.or (i32.eq (local.get $w) (i32.const 0x65757274)) (i32.eq (local.get $w) (i32.const 0x6c6c756e)))
      (then (return (i32.add (local.get $at) (i32.const 4)))))
    (if (i32.and
          (i32.eq (local.get $w) (i32.const 0x736c6166))
          (i32.eq (i32.load8_u offset=4 (local.get $at)) (i32.const 101)))
      (then (return (i32.add (local.get $at) (i32.const 5)))))
    (i32.const 0))
  (func $spaces (param $at i32) (result i32)
    (loop $each
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 32))
        (then
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $each))))
    (local.get $at))
  ;; Behind the object or array that begins at $at; 0 where it is not well formed, deeper than 60, or has a number of 1,000 characters.
  (func $nested (param $at i32) (result i32)
    (local $c i32) (local $depth i32) (local $objects i64) (local $next i32)
    (loop $value
      (local.set $at (call $spaces (local.get $at)))
      (local.set $c (i32.load8_u (local.get $at)))
      (block $after
        (block $key
          (if (i32.or (i32.eq (local.get $c) (i32.const 123)) (i32.eq (local.get $c) (i32.const 91)))
            (then
              (local.set $depth (i32.add (local.get $depth) (i32.const 1)))
              (if (i32.gt_u (local.get $depth) (i32.const 60)) (then (return (i32.const 0))))
              ;; The innermost is the lowest bit: 1 for an object.
              (local.set $objects
                (i64.or
                  (i64.shl (local.get $objects) (i64.const 1))
                  (i64.extend_i32_u (i32.eq (local.get $c) (i32.const 123)))))
              (local.set $at (call $spaces (i32.add (local.get $at) (i32.const 1))))
              ;; } is { and ] is [, each with 2 added.
              (br_if $after (i32.eq (i32.load8_u (local.get $at)) (i32.add (local.get $c) (i32.const 2))))
              (br_if $key (i32.eq (local.get $c) (i32.const 123)))
              (br $value)))
          (if (i32.eq (local.get $c) (i32.const 34))
            (then (local.set $next (call $string (local.get $at))))
            (else
              (if (i32.or (i32.eq (local.get $c) (i32.const 45)) (call $isDigit (local.get $at)))
                (then
                  (local.set $next (call $number (local.get $at)))
                  (if (i32.ge_u (i32.sub (local.get $next) (local.get $at)) (i32.const 1000)) (then (return (i32.const 0)))))
                (else (local.set $next (call $word (local.get $at)))))))
          (if (i32.eqz (local.get $next)) (then (return (i32.const 0))))
          (local.set $at (call $spaces (local.get $next)))
          (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 44)) (then (br $after)))
          (local.set $at (call $spaces (i32.add (local.get $at) (i32.const 1))))
          (br_if $value (i64.eqz (i64.and (local.get $objects) (i64.const 1)))))
        ;; A key and its colon.
        (local.set $at (call $string (local.get $at)))
        (if (i32.eqz (local.get $at)) (then (return (i32.const 0))))
        (local.set $at (call $spaces (local.get $at)))
        (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 58)) (then (return (i32.const 0))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $value))
      ;; What ends here: one or more of those that are open.
      (loop $ends
        (if (i32.ne
              (i32.load8_u (local.get $at))
              (select (i32.const 125) (i32.const 93) (i32.wrap_i64 (i64.and (local.get $objects) (i64.const 1)))))
          (then (return (i32.const 0))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $objects (i64.shr_u (local.get $objects) (i64.const 1)))
        (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
        (if (i32.eqz (local.get $depth)) (then (return (local.get $at))))
        (local.set $at (call $spaces (local.get $at)))
        (br_if $ends (i32.ne (i32.load8_u (local.get $at)) (i32.const 44))))
      (local.set $at (call $spaces (i32.add (local.get $at) (i32.const 1))))
      (br_if $value (i64.eqz (i64.and (local.get $objects) (i64.const 1))))
      (local.set $at (call $string (local.get $at)))
      (if (i32.eqz (local.get $at)) (then (return (i32.const 0))))
      (local.set $at (call $spaces (local.get $at)))
      (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 58)) (then (return (i32.const 0))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $value))
    (unreachable))
  ;; Two digits as a number; 1,000 where they are none.
  (func $two (param $at i32) (result i32)
    (if (result i32) (i32.and (call $isDigit (local.get $at)) (call $isDigit (i32.add (local.get $at) (i32.const 1))))
      (then
        (i32.sub
          (i32.add (i32.mul (i32.load8_u (local.get $at)) (i32.const 10)) (i32.load8_u offset=1 (local.get $at)))
          (i32.const 528)))
      (else (i32.const 1000))))
  ;; Whether ten characters are a day that there is; the last of February in leap years is not told here.
  (func $isDay (param $at i32) (result i32)
    (local $month i32) (local $day i32) (local $year i32)
    (local.set $year (i32.add (call $two (local.get $at)) (call $two (i32.add (local.get $at) (i32.const 2)))))
    (local.set $month (call $two (i32.add (local.get $at) (i32.const 5))))
    (local.set $day (call $two (i32.add (local.get $at) (i32.const 8))))
    (i32.and
      (i32.and
        (i32.lt_u (i32.sub (local.get $year) (i32.const 1)) (i32.const 198))
        (i32.and
          (i32.eq (i32.load8_u offset=4 (local.get $at)) (i32.const 45))
          (i32.eq (i32.load8_u offset=7 (local.get $at)) (i32.const 45))))
      (i32.and
        (i32.and
          (i32.lt_u (i32.sub (local.get $month) (i32.const 1)) (i32.const 12))
          (i32.ne (local.get $day) (i32.const 0)))
        (i32.or
          (i32.lt_u (local.get $day) (i32.const 29))
          (i32.or
            (i32.and (i32.ne (local.get $month) (i32.const 2)) (i32.lt_u (local.get $day) (i32.const 31)))
            (i32.and
              (i32.eq (local.get $day) (i32.const 31))
              (i32.and (i32.shr_u (i32.const 0x15aa) (local.get $month)) (i32.const 1))))))))
  ;; Whether [$at, $end) is such as 2024-01-31T23:59:59.123456Z, with Z or +00:00.
  (func $isTime (param $at i32) (param $end i32) (result i32)
    (local $from i32)
    (if (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 20)) (then (return (i32.const 0))))
    (if (i32.eqz
          (i32.and
            (call $isDay (local.get $at))
            (i32.and
              (i32.and
                (i32.eq (i32.load8_u offset=10 (local.get $at)) (i32.const 84))
                (i32.and
                  (i32.eq (i32.load8_u offset=13 (local.get $at)) (i32.const 58))
                  (i32.eq (i32.load8_u offset=16 (local.get $at)) (i32.const 58))))
              (i32.and
                (i32.lt_u (call $two (i32.add (local.get $at) (i32.const 11))) (i32.const 24))
                (i32.and
                  (i32.lt_u (call $two (i32.add (local.get $at) (i32.const 14))) (i32.const 60))
                  (i32.lt_u (call $two (i32.add (local.get $at) (i32.const 17))) (i32.const 60)))))))
      (then (return (i32.const 0))))
    (local.set $at (i32.add (local.get $at) (i32.const 19)))
    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 46))
      (then
        (local.set $from (i32.add (local.get $at) (i32.const 1)))
        (local.set $at (call $digits (local.get $from)))
        (if (i32.gt_u (i32.sub (i32.sub (local.get $at) (local.get $from)) (i32.const 1)) (i32.const 5))
          (then (return (i32.const 0))))))
    (i32.or
      (i32.and
        (i32.eq (i32.load8_u (local.get $at)) (i32.const 90))
        (i32.eq (i32.add (local.get $at) (i32.const 1)) (local.get $end)))
      (i32.and
        (i64.eq
          (i64.and (i64.load (local.get $at)) (i64.const 0xffffffffffff))
          (i64.const 0x30303a30302b))
        (i32.eq (i32.add (local.get $at) (i32.const 6)) (local.get $end)))))
  ;; Behind the value at $at, where a column of this kind takes it as it stands; else 0.
  (func $value (param $at i32) (param $kind i32) (result i32)
    (local $c i32) (local $end i32)
    (local.set $c (i32.load8_u (local.get $at)))
    (block $no
      ;; From 16 on: a number with at most so many digits more behind its point.
      (if (i32.ge_u (local.get $kind) (i32.const 16))
        (then
          (local.set $end (call $number (local.get $at)))
          (br_if $no (i32.gt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 15)))
          (br_if $no
            (i32.and
              (i32.ne (global.get $point) (i32.const 0))
              (i32.gt_s
                (i32.sub (i32.sub (local.get $end) (global.get $point)) (i32.const 1))
                (i32.sub (local.get $kind) (i32.const 16)))))
          (return (local.get $end))))
      (block $nested
        (block $day
          (block $time
            (block $string
              (block $boolean
                (block $float
                  (block $whole
                    (br_table $no $whole $float $boolean $string $time $day $nested $no (local.get $kind)))
                  (local.set $end (call $number (local.get $at)))
                  (br_if $no (global.get $point))
                  (br_if $no (i32.gt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 15)))
                  (return (local.get $end)))
                (local.set $end (call $number (local.get $at)))
                (br_if $no (i32.gt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 15)))
                (return (local.get $end)))
              (return (call $word (local.get $at))))
            (return (call $string (local.get $at))))
          (local.set $end (call $string (local.get $at)))
          (br_if $no (i32.eqz (local.get $end)))
          (br_if $no (i32.eqz (call $isTime (i32.add (local.get $at) (i32.const 1)) (i32.sub (local.get $end) (i32.const 1)))))
          (return (local.get $end)))
        (local.set $end (call $string (local.get $at)))
        (br_if $no (i32.ne (i32.sub (local.get $end) (local.get $at)) (i32.const 12)))
        (br_if $no (i32.eqz (call $isDay (i32.add (local.get $at) (i32.const 1)))))
        (return (local.get $end)))
      (br_if $no (i32.and (i32.ne (local.get $c) (i32.const 123)) (i32.ne (local.get $c) (i32.const 91))))
      (return (call $nested (local.get $at))))
    (i32.const 0))
  ;; Whether the record at [$at, $to) has fields out of the first $fields in their order, with values as their columns take them, and
  ;; nothing else; their places are then at SPANS, of which there are $columns.
  (func (export "scan") (param $at i32) (param $to i32) (param $fields i32) (param $columns i32) (result i32)
    (local $field i32) (local $end i32) (local $fieldsEnd i32)
    (memory.fill (i32.const 40960) (i32.const 255) (i32.shl (local.get $columns) (i32.const 3)))
    (local.set $fieldsEnd (i32.shl (local.get $fields) (i32.const 4)))
    (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 123)) (then (return (i32.const 0))))
    (loop $each
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (block $found
        (loop $search
          (if (i32.ge_u (local.get $field) (local.get $fieldsEnd)) (then (return (i32.const 0))))
          (br_if $found
            (call $same (local.get $at) (i32.load (local.get $field)) (i32.load offset=4 (local.get $field))))
          (local.set $field (i32.add (local.get $field) (i32.const 16)))
          (br $search)))
      (local.set $at (i32.add (local.get $at) (i32.load offset=4 (local.get $field))))
      (if (i32.eq (i32.load (local.get $at)) (i32.const 0x6c6c756e))
        (then (local.set $end (i32.add (local.get $at) (i32.const 4))))
        (else
          (local.set $end (call $value (local.get $at) (i32.load offset=12 (local.get $field))))
          (if (i32.eqz (local.get $end)) (then (return (i32.const 0))))
          (i32.store (i32.load offset=8 (local.get $field)) (local.get $at))
          (i32.store offset=4 (i32.load offset=8 (local.get $field)) (local.get $end))))
      (local.set $at (local.get $end))
      (local.set $field (i32.add (local.get $field) (i32.const 16)))
      (br_if $each (i32.eq (i32.load8_u (local.get $at)) (i32.const 44))))
    (i32.and
      (i32.eq (i32.load8_u (local.get $at)) (i32.const 125))
      (i32.eq (i32.add (local.get $at) (i32.const 1)) (local.get $to))))
  (func $byte (param $c i32)
    (i32.store8 (global.get $out) (local.get $c))
    (global.set $out (i32.add (global.get $out) (i32.const 1))))
  ;; Copies [$from, $to). $form: 0 as it stands; 1 the inside of a string, of whose escapes COPY does not know \" and \/; 2 JSON, backslashes doubled.
  (func $copy (param $from i32) (param $to i32) (param $form i32)
    (local $out i32) (local $v v128) (local $mask i32) (local $left i32) (local $c i32)
    (local.set $out (global.get $out))
    (block $done
      (loop $blocks
        (br_if $done (i32.ge_u (local.get $from) (local.get $to)))
        (local.set $v (v128.load (local.get $from)))
        (v128.store (local.get $out) (local.get $v))
        (local.set $left (i32.sub (local.get $to) (local.get $from)))
        (if (i32.gt_u (local.get $left) (i32.const 16)) (then (local.set $left (i32.const 16))))
        (local.set $mask (i32.const 0))
        (if (local.get $form)
          (then
            (local.set $mask
              (i32.and
                (i8x16.bitmask (i8x16.eq (local.get $v) (i8x16.splat (i32.const 92))))
                (i32.sub (i32.shl (i32.const 1) (local.get $left)) (i32.const 1))))))
        (if (i32.eqz (local.get $mask))
          (then
            (local.set $from (i32.add (local.get $from) (local.get $left)))
            (local.set $out (i32.add (local.get $out) (local.get $left)))
            (br $blocks)))
        (local.set $mask (i32.ctz (local.get $mask)))
        (local.set $from (i32.add (local.get $from) (local.get $mask)))
        (local.set $out (i32.add (local.get $out) (local.get $mask)))
        (if (i32.eq (local.get $form) (i32.const 1))
          (then
            (local.set $c (i32.load8_u offset=1 (local.get $from)))
            (local.set $from (i32.add (local.get $from) (i32.const 2)))
            (if (i32.and (i32.ne (local.get $c) (i32.const 34)) (i32.ne (local.get $c) (i32.const 47)))
              (then
                (i32.store8 (local.get $out) (i32.const 92))
                (local.set $out (i32.add (local.get $out) (i32.const 1))))))
          (else
            (local.set $c (i32.const 92))
            (local.set $from (i32.add (local.get $from) (i32.const 1)))
            (i32.store8 (local.get $out) (i32.const 92))
            (local.set $out (i32.add (local.get $out) (i32.const 1)))))
        (i32.store8 (local.get $out) (local.get $c))
        (local.set $out (i32.add (local.get $out) (i32.const 1)))
        (br $blocks)))
    (global.set $out (local.get $out)))
  ;; Writes the row of the record that was scanned at $out, with its number behind it where that is not below 0; answers where it ends.
  (func (export "write") (param $at i32) (param $columns i32) (param $number i32) (result i32)
    (local $column i32) (local $span i32) (local $form i32) (local $power i32)
    (global.set $out (local.get $at))
    (local.set $span (i32.const 40960))
    (block $done
      (loop $each
        (br_if $done (i32.eqz (local.get $columns)))
        (if (i32.lt_s (i32.load (local.get $span)) (i32.const 0))
          (then
            (i32.store16 (global.get $out) (i32.const 0x4e5c))
            (global.set $out (i32.add (global.get $out) (i32.const 2))))
          (else
            (local.set $form (i32.load offset=32768 (local.get $column)))
            (call $copy
              (i32.add (i32.load (local.get $span)) (i32.eq (local.get $form) (i32.const 1)))
              (i32.sub (i32.load offset=4 (local.get $span)) (i32.eq (local.get $form) (i32.const 1)))
              (local.get $form))))
        (call $byte (i32.const 9))
        (local.set $span (i32.add (local.get $span) (i32.const 8)))
        (local.set $column (i32.add (local.get $column) (i32.const 4)))
        (local.set $columns (i32.sub (local.get $columns) (i32.const 1)))
        (br $each)))
    (if (i32.lt_s (local.get $number) (i32.const 0))
      (then (i32.store8 (i32.sub (global.get $out) (i32.const 1)) (i32.const 10)))
      (else
        (local.set $power (i32.const 1))
        (block $known
          (loop $grow
            (br_if $known (i32.gt_u (local.get $power) (i32.div_u (local.get $number) (i32.const 10))))
            (local.set $power (i32.mul (local.get $power) (i32.const 10)))
            (br $grow)))
        (loop $digits
          (call $byte (i32.add (i32.const 48) (i32.rem_u (i32.div_u (local.get $number) (local.get $power)) (i32.const 10))))
          (local.set $power (i32.div_u (local.get $power) (i32.const 10)))
          (br_if $digits (local.get $power)))
        (call $byte (i32.const 10))))
    (global.get $out))
)
