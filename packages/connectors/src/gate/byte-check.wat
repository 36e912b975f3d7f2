;; Walks the bytes of a record along the nodes of a schema, as byte-check.ts tells it: where they are JSON and fit for certain it
;; answers the place behind them, else 0.
;;
;; A node, 32 bytes: +0 types (byte-nodes.ts), +4 flags (1 a time, 2 a format, 4 bounds), +8 the longest text, +12 node of the items,
;; +16 bits of the required properties, +20 where the order of its properties stands, +24 how many may stand there, +28 its number.
;; A property, 16 bytes: +0 length of the name in its quotes, +4 node, +8 bit, +12 1 where null will not do; behind it the name, with 16 bytes of
;; room. The order is a list of properties as they came last. Behind the bytes of records stands a 0, which nothing goes on over.
;;
;; What takes more than bytes is asked: `text` (node, from, to) whether a text has the node's format, `number` the same of its
;; bounds, `property` (node, place in the order, from) which property is named there, or 0.
(module
  (import "ask" "text" (func $askText (param i32 i32 i32) (result i32)))
  (import "ask" "number" (func $askNumber (param i32 i32 i32) (result i32)))
  (import "ask" "property" (func $askProperty (param i32 i32 i32) (result i32)))
  (memory (export "memory") 18)

  (func $space (param $i i32) (result i32)
    (local $c i32)
    (block $end
      (loop $next
        (local.set $c (i32.load8_u (local.get $i)))
        (br_if $end (i32.gt_u (local.get $c) (i32.const 32)))
        (br_if $end (i32.eqz
          (i32.or
            (i32.or (i32.eq (local.get $c) (i32.const 32)) (i32.eq (local.get $c) (i32.const 10)))
            (i32.or (i32.eq (local.get $c) (i32.const 13)) (i32.eq (local.get $c) (i32.const 9))))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $i))
  (func $isDigit (param $i i32) (result i32)
    (i32.lt_u (i32.sub (i32.load8_u (local.get $i)) (i32.const 48)) (i32.const 10)))
  (func $isHex (param $i i32) (result i32)
    (i32.or
      (call $isDigit (local.get $i))
      (i32.lt_u (i32.sub (i32.or (i32.load8_u (local.get $i)) (i32.const 32)) (i32.const 97)) (i32.const 6))))
  (func $digitsEnd (param $i i32) (result i32)
    (block $end
      (loop $next
        (br_if $end (i32.eqz (call $isDigit (local.get $i))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $i))
  ;; Two digits; 99 where they are none.
  (func $two (param $i i32) (result i32)
    (if (result i32) (i32.and (call $isDigit (local.get $i)) (call $isDigit (i32.add (local.get $i) (i32.const 1))))
      (then
        (i32.add
          (i32.mul (i32.sub (i32.load8_u (local.get $i)) (i32.const 48)) (i32.const 10))
          (i32.sub (i32.load8_u offset=1 (local.get $i)) (i32.const 48))))
      (else (i32.const 99))))
  ;; 2024-01-28T10:20:30.123Z, with or without a fraction: the form that nearly all have. Days beyond the 28th are asked.
  (func $isPlainTime (param $from i32) (param $to i32) (result i32)
    (local $length i32) (local $n i32) (local $m i32)
    (local.set $length (i32.sub (local.get $to) (local.get $from)))
    (if (i32.or (i32.lt_s (local.get $length) (i32.const 20)) (i32.ne (i32.load8_u (i32.sub (local.get $to) (i32.const 1))) (i32.const 90)))
      (then (return (i32.const 0))))
    (local.set $n (call $two (local.get $from)))
    (local.set $m (call $two (i32.add (local.get $from) (i32.const 2))))
    (if (i32.or
          (i32.or (i32.eq (local.get $n) (i32.const 99)) (i32.eq (local.get $m) (i32.const 99)))
          (i32.eqz (i32.or (local.get $n) (local.get $m))))
      (then (return (i32.const 0))))
    (if (i32.or
          (i32.or
            (i32.ne (i32.load8_u offset=4 (local.get $from)) (i32.const 45))
            (i32.ne (i32.load8_u offset=7 (local.get $from)) (i32.const 45)))
          (i32.or
            (i32.ne (i32.load8_u offset=10 (local.get $from)) (i32.const 84))
            (i32.or
              (i32.ne (i32.load8_u offset=13 (local.get $from)) (i32.const 58))
              (i32.ne (i32.load8_u offset=16 (local.get $from)) (i32.const 58)))))
      (then (return (i32.const 0))))
    (if (i32.ge_u (i32.sub (call $two (i32.add (local.get $from) (i32.const 5))) (i32.const 1)) (i32.const 12))
      (then (return (i32.const 0))))
    (if (i32.ge_u (i32.sub (call $two (i32.add (local.get $from) (i32.const 8))) (i32.const 1)) (i32.const 28))
      (then (return (i32.const 0))))
    (if (i32.or
          (i32.gt_u (call $two (i32.add (local.get $from) (i32.const 11))) (i32.const 23))
          (i32.or
            (i32.gt_u (call $two (i32.add (local.get $from) (i32.const 14))) (i32.const 59))
            (i32.gt_u (call $two (i32.add (local.get $from) (i32.const 17))) (i32.const 59))))
      (then (return (i32.const 0))))
    (if (i32.eq (local.get $length) (i32.const 20)) (then (return (i32.const 1))))
    (if (i32.or (i32.ne (i32.load8_u offset=19 (local.get $from)) (i32.const 46)) (i32.eq (local.get $length) (i32.const 21)))
      (then (return (i32.const 0))))
    (i32.eq (call $digitsEnd (i32.add (local.get $from) (i32.const 20))) (i32.sub (local.get $to) (i32.const 1))))

  (func $text (param $node i32) (param $from i32) (result i32)
    (local $i i32) (local $v v128) (local $mask i32) (local $c i32) (local $escaped i32) (local $flags i32)
    (local.set $i (i32.add (local.get $from) (i32.const 1)))
    (block $end
      (loop $next
        (local.set $v (v128.load (local.get $i)))
        (local.set $mask (i8x16.bitmask
          (v128.or
            (i8x16.lt_u (local.get $v) (i8x16.splat (i32.const 32)))
            (v128.or
              (i8x16.eq (local.get $v) (i8x16.splat (i32.const 34)))
              (i8x16.eq (local.get $v) (i8x16.splat (i32.const 92)))))))
        (if (i32.eqz (local.get $mask))
          (then
            (local.set $i (i32.add (local.get $i) (i32.const 16)))
            (br $next)))
        (local.set $i (i32.add (local.get $i) (i32.ctz (local.get $mask))))
        (local.set $c (i32.load8_u (local.get $i)))
        (br_if $end (i32.eq (local.get $c) (i32.const 34)))
        (if (i32.ne (local.get $c) (i32.const 92)) (then (return (i32.const 0))))
        (local.set $escaped (i32.const 1))
        (local.set $c (i32.load8_u offset=1 (local.get $i)))
        (if (i32.eq (local.get $c) (i32.const 117))
          (then
            (if (i32.eqz
                  (i32.and
                    (i32.and (call $isHex (i32.add (local.get $i) (i32.const 2))) (call $isHex (i32.add (local.get $i) (i32.const 3))))
                    (i32.and (call $isHex (i32.add (local.get $i) (i32.const 4))) (call $isHex (i32.add (local.get $i) (i32.const 5))))))
              (then (return (i32.const 0))))
            (local.set $i (i32.add (local.get $i) (i32.const 6)))
            (br $next)))
        ;; " \ / b f n r t
        (if (i32.eqz
              (i32.or
                (i32.or
                  (i32.or (i32.eq (local.get $c) (i32.const 34)) (i32.eq (local.get $c) (i32.const 92)))
                  (i32.or (i32.eq (local.get $c) (i32.const 47)) (i32.eq (local.get $c) (i32.const 98))))
                (i32.or
                  (i32.or (i32.eq (local.get $c) (i32.const 102)) (i32.eq (local.get $c) (i32.const 110)))
                  (i32.or (i32.eq (local.get $c) (i32.const 114)) (i32.eq (local.get $c) (i32.const 116))))))
          (then (return (i32.const 0))))
        (local.set $i (i32.add (local.get $i) (i32.const 2)))
        (br $next)))
    (if (i32.gt_s (i32.sub (i32.sub (local.get $i) (local.get $from)) (i32.const 1)) (i32.load offset=8 (local.get $node)))
      (then (return (i32.const 0))))
    (local.set $flags (i32.load offset=4 (local.get $node)))
    (if (i32.and (local.get $flags) (i32.const 2))
      (then
        (if (local.get $escaped) (then (return (i32.const 0))))
        (local.set $from (i32.add (local.get $from) (i32.const 1)))
        (if (i32.eqz
              (if (result i32) (i32.and (local.get $flags) (i32.const 1))
                (then (call $isPlainTime (local.get $from) (local.get $i)))
                (else (i32.const 0))))
          (then
            (if (i32.eqz (call $askText (i32.load offset=28 (local.get $node)) (local.get $from) (local.get $i)))
              (then (return (i32.const 0))))))))
    (i32.add (local.get $i) (i32.const 1)))

  (func $number (param $node i32) (param $from i32) (result i32)
    (local $i i32) (local $whole i32) (local $c i32)
    (local.set $i (i32.add (local.get $from) (i32.eq (i32.load8_u (local.get $from)) (i32.const 45))))
    (if (i32.eqz (call $isDigit (local.get $i))) (then (return (i32.const 0))))
    (if (i32.eq (i32.load8_u (local.get $i)) (i32.const 48))
      (then (local.set $i (i32.add (local.get $i) (i32.const 1))))
      (else (local.set $i (call $digitsEnd (local.get $i)))))
    (local.set $whole (local.get $i))
    (if (i32.eq (i32.load8_u (local.get $i)) (i32.const 46))
      (then
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (if (i32.eqz (call $isDigit (local.get $i))) (then (return (i32.const 0))))
        (local.set $i (call $digitsEnd (local.get $i)))))
    (if (i32.eq (i32.or (i32.load8_u (local.get $i)) (i32.const 32)) (i32.const 101))
      (then
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (local.set $c (i32.load8_u (local.get $i)))
        (if (i32.or (i32.eq (local.get $c) (i32.const 43)) (i32.eq (local.get $c) (i32.const 45)))
          (then (local.set $i (i32.add (local.get $i) (i32.const 1)))))
        (if (i32.eqz (call $isDigit (local.get $i))) (then (return (i32.const 0))))
        (local.set $i (call $digitsEnd (local.get $i)))))
    (if (i32.and
          (i32.ne (local.get $i) (local.get $whole))
          (i32.eqz (i32.and (i32.load (local.get $node)) (i32.const 2))))
      (then (return (i32.const 0))))
    (if (i32.and (i32.load offset=4 (local.get $node)) (i32.const 4))
      (then
        (if (i32.gt_s (i32.sub (local.get $i) (local.get $from)) (i32.const 15)) (then (return (i32.const 0))))
        (if (i32.eqz (call $askNumber (i32.load offset=28 (local.get $node)) (local.get $from) (local.get $i)))
          (then (return (i32.const 0))))))
    (local.get $i))

  (func $value (param $node i32) (param $i i32) (param $depth i32) (result i32)
    (local $c i32) (local $types i32)
    (local.set $c (i32.load8_u (local.get $i)))
    (local.set $types (i32.load (local.get $node)))
    (if (i32.eq (local.get $c) (i32.const 34))
      (then
        (if (i32.and (local.get $types) (i32.const 1)) (then (return (call $text (local.get $node) (local.get $i)))))
        (return (i32.const 0))))
    (if (i32.lt_u (local.get $c) (i32.const 91))
      (then
        (if (i32.and (local.get $types) (i32.const 6)) (then (return (call $number (local.get $node) (local.get $i)))))
        (return (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 110))
      (then
        (return (select (i32.add (local.get $i) (i32.const 4)) (i32.const 0)
          (i32.and
            (i32.eq (i32.load (local.get $i)) (i32.const 0x6c6c756e))
            (i32.ne (i32.and (local.get $types) (i32.const 16)) (i32.const 0)))))))
    (if (i32.eq (local.get $c) (i32.const 116))
      (then
        (return (select (i32.add (local.get $i) (i32.const 4)) (i32.const 0)
          (i32.and
            (i32.eq (i32.load (local.get $i)) (i32.const 0x65757274))
            (i32.ne (i32.and (local.get $types) (i32.const 8)) (i32.const 0)))))))
    (if (i32.eq (local.get $c) (i32.const 102))
      (then
        (return (select (i32.add (local.get $i) (i32.const 5)) (i32.const 0)
          (i32.and
            (i32.and (i32.eq (i32.load (local.get $i)) (i32.const 0x736c6166)) (i32.eq (i32.load8_u offset=4 (local.get $i)) (i32.const 101)))
            (i32.ne (i32.and (local.get $types) (i32.const 8)) (i32.const 0)))))))
    (if (i32.gt_s (local.get $depth) (i32.const 60)) (then (return (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 123))
      (then
        (if (i32.and (local.get $types) (i32.const 32))
          (then (return (call $object (local.get $node) (local.get $i) (local.get $depth)))))))
    (if (i32.eq (local.get $c) (i32.const 91))
      (then
        (if (i32.and (local.get $types) (i32.const 64))
          (then (return (call $array (local.get $node) (local.get $i) (local.get $depth)))))))
    (i32.const 0))

  (func $array (param $node i32) (param $from i32) (param $depth i32) (result i32)
    (local $i i32) (local $items i32) (local $c i32)
    (local.set $items (i32.load offset=12 (local.get $node)))
    (local.set $depth (i32.add (local.get $depth) (i32.const 1)))
    (local.set $i (call $space (i32.add (local.get $from) (i32.const 1))))
    (if (i32.eq (i32.load8_u (local.get $i)) (i32.const 93)) (then (return (i32.add (local.get $i) (i32.const 1)))))
    (loop $next
      (local.set $i (call $value (local.get $items) (local.get $i) (local.get $depth)))
      (if (i32.eqz (local.get $i)) (then (return (i32.const 0))))
      (local.set $i (call $space (local.get $i)))
      (local.set $c (i32.load8_u (local.get $i)))
      (if (i32.eq (local.get $c) (i32.const 93)) (then (return (i32.add (local.get $i) (i32.const 1)))))
      (if (i32.ne (local.get $c) (i32.const 44)) (then (return (i32.const 0))))
      (local.set $i (call $space (i32.add (local.get $i) (i32.const 1))))
      (br $next))
    (unreachable))

  ;; Whether the property's name stands at $i.
  (func $isNamed (param $property i32) (param $i i32) (result i32)
    (local $left i32) (local $at i32)
    (local.set $left (i32.load (local.get $property)))
    (local.set $at (i32.add (local.get $property) (i32.const 16)))
    (loop $next
      (if (i32.ge_u (local.get $left) (i32.const 16))
        (then
          (if (i32.ne (i32.const 0xffff)
                (i8x16.bitmask (i8x16.eq (v128.load (local.get $at)) (v128.load (local.get $i)))))
            (then (return (i32.const 0))))
          (local.set $left (i32.sub (local.get $left) (i32.const 16)))
          (local.set $at (i32.add (local.get $at) (i32.const 16)))
          (local.set $i (i32.add (local.get $i) (i32.const 16)))
          (br $next))))
    (i32.eqz
      (i32.and
        (i32.xor (i8x16.bitmask (i8x16.eq (v128.load (local.get $at)) (v128.load (local.get $i)))) (i32.const 0xffff))
        (i32.sub (i32.shl (i32.const 1) (local.get $left)) (i32.const 1)))))

  (func $object (param $node i32) (param $from i32) (param $depth i32) (result i32)
    (local $i i32) (local $n i32) (local $property i32) (local $seen i32) (local $bit i32) (local $c i32)
    (local.set $depth (i32.add (local.get $depth) (i32.const 1)))
    (local.set $i (call $space (i32.add (local.get $from) (i32.const 1))))
    (if (i32.eq (i32.load8_u (local.get $i)) (i32.const 125))
      (then (return (select (i32.const 0) (i32.add (local.get $i) (i32.const 1)) (i32.load offset=16 (local.get $node))))))
    (loop $next
      (local.set $property (i32.const 0))
      (if (i32.lt_u (local.get $n) (i32.load offset=24 (local.get $node)))
        (then
          (local.set $property (i32.load (i32.add (i32.load offset=20 (local.get $node)) (i32.shl (local.get $n) (i32.const 2)))))
          (if (local.get $property)
            (then
              (if (i32.eqz (call $isNamed (local.get $property) (local.get $i)))
                (then (local.set $property (i32.const 0))))))))
      (if (i32.eqz (local.get $property))
        (then
          (local.set $property (call $askProperty (i32.load offset=28 (local.get $node)) (local.get $n) (local.get $i)))
          (if (i32.eqz (local.get $property)) (then (return (i32.const 0))))))
      (local.set $i (call $space (i32.add (local.get $i) (i32.load (local.get $property)))))
      (if (i32.ne (i32.load8_u (local.get $i)) (i32.const 58)) (then (return (i32.const 0))))
      (local.set $i (call $space (i32.add (local.get $i) (i32.const 1))))
      (if (i32.and (i32.load offset=12 (local.get $property)) (i32.eq (i32.load8_u (local.get $i)) (i32.const 110)))
        (then (return (i32.const 0))))
      (local.set $bit (i32.load offset=8 (local.get $property)))
      (local.set $i (call $value (i32.load offset=4 (local.get $property)) (local.get $i) (local.get $depth)))
      (if (i32.eqz (local.get $i)) (then (return (i32.const 0))))
      (local.set $seen (i32.or (local.get $seen) (local.get $bit)))
      (local.set $i (call $space (local.get $i)))
      (local.set $c (i32.load8_u (local.get $i)))
      (if (i32.eq (local.get $c) (i32.const 44))
        (then
          (local.set $i (call $space (i32.add (local.get $i) (i32.const 1))))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br $next))))
    (if (i32.ne (local.get $c) (i32.const 125)) (then (return (i32.const 0))))
    (select
      (i32.add (local.get $i) (i32.const 1))
      (i32.const 0)
      (i32.eq (i32.and (local.get $seen) (i32.load offset=16 (local.get $node))) (i32.load offset=16 (local.get $node)))))

  (func $check (export "check") (param $node i32) (param $from i32) (result i32)
    (if (i32.ne (i32.load8_u (local.get $from)) (i32.const 123)) (then (return (i32.const 0))))
    (call $object (local.get $node) (local.get $from) (i32.const 0)))

  ;; Whether [$from, $to) are records that fit, a newline behind each: 1, else 0.
  (func (export "checkLines") (param $node i32) (param $from i32) (param $to i32) (result i32)
    (block $end
      (loop $next
        (br_if $end (i32.ge_u (local.get $from) (local.get $to)))
        (local.set $from (call $check (local.get $node) (local.get $from)))
        (if (i32.eqz (local.get $from)) (then (return (i32.const 0))))
        (if (i32.ne (i32.load8_u (local.get $from)) (i32.const 10)) (then (return (i32.const 0))))
        (local.set $from (i32.add (local.get $from) (i32.const 1)))
        (br $next)))
    (i32.const 1)))
