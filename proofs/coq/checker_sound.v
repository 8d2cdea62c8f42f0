(** Item 9: the checker accepts the proximal point, and nothing else.

A row list that [check] accepts proves that its answer is the proximal point over every ordered field, and
every rational proximal point is accepted. So a solver need not be trusted: [Eval vm_compute in check rows
G] decides. [check_error] in addition bounds the distance of an approximate answer from the proximal
point. The proof puts the certificate of checker_criteria.v into the optimality conditions of prox.v. *)

From Coq Require Import ZArith.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ ring.
From lovasz Require Import definitions extension prox jaccard checker checker_criteria.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Correctness.

Variables (R : realFieldType) (T : finType).
Implicit Types (G D E : Z).

Local Notation zr := (zr R).

Lemma residual_moved (r : pixel) G D : (0 < G)%Z -> (0 < D)%Z ->
  (zr (score r) / zr D - zr (answer r) / zr D) / (zr G / zr D) = zr (moved r) / zr G.
Proof.
move=> /(zr_gt0 R) G0 /(zr_gt0 R) D0; rewrite /moved zrB; field.
by rewrite !gt_eqF.
Qed.

(** What the checker accepts is the proximal point. *)
Theorem check_sound (pix : T -> pixel) (rows : seq pixel) G D :
  perm_eq rows [seq pix i | i <- enum T] -> (0 < D)%Z -> check rows G ->
  is_prox (lovasz (jaccard R [set i | foreground (pix i)])) (zr G / zr D)
    (fun i => zr (score (pix i)) / zr D) (fun i => zr (answer (pix i)) / zr D).
Proof.
move=> lr D0 ok; have G0 : (0 < G)%Z by case/and3P: ok; lia.
have [base dotE] := (check_certificate G0 (fun i => residual_moved (pix i) G0 D0) lr D0).1 ok.
by apply: prox_of_certificate => //; [rewrite divr_gt0 ?zr_gt0 | apply: jaccard_normalised].
Qed.

(** The checker accepts every rational proximal point. *)
Theorem check_complete (pix : T -> pixel) (rows : seq pixel) G D :
  perm_eq rows [seq pix i | i <- enum T] -> (0 < D)%Z -> (0 < G)%Z ->
  is_prox (lovasz (jaccard R [set i | foreground (pix i)])) (zr G / zr D)
    (fun i => zr (score (pix i)) / zr D) (fun i => zr (answer (pix i)) / zr D) ->
  check rows G.
Proof.
move=> lr D0 G0 prox; apply/(check_certificate G0 (fun i => residual_moved (pix i) G0 D0) lr D0).
apply: prox_certificate => [|||u]; [|exact: jaccard_normalised|exact: jaccard_submodular|by case: (prox u)].
by rewrite divr_gt0 ?zr_gt0.
Qed.

(** The proximal point is within E / D of an approximate answer that the checker accepts. *)
Theorem check_error_sound (pix : T -> pixel * Z) (rows : seq (pixel * Z)) G D E :
  perm_eq rows [seq pix i | i <- enum T] -> (0 < D)%Z -> check_error rows G E ->
  exists2 z, is_prox (lovasz (jaccard R [set i | foreground (pix i).1])) (zr G / zr D)
               (fun i => zr (score (pix i).1) / zr D) z
           & sqdist (fun i => zr (pix i).2 / zr D) z <= (zr E / zr D) ^+ 2.
Proof.
move=> lr D0 /and3P[ok E0 small]; have zD0 := zr_gt0 R D0.
have lr1 : perm_eq [seq r.1 | r <- rows] [seq (pix i).1 | i <- enum T].
  by rewrite (map_comp fst pix); apply: perm_map.
exists (fun i => zr (answer (pix i).1) / zr D); first exact: check_sound lr1 D0 ok.
have -> : sqdist (fun i => zr (pix i).2 / zr D) (fun i => zr (answer (pix i).1) / zr D) =
    zr (square_error rows) / zr D ^+ 2.
  rewrite /square_error zr_sumZ big_map (perm_big _ lr) big_map big_enum mulr_suml.
  by apply: eq_bigr => i _; rewrite zrM zrB; field; rewrite gt_eqF.
by rewrite expr_div_n ler_pmul2r ?invr_gt0 ?exprn_gt0 // expr2 -zrM zr_le.
Qed.

End Correctness.

(** The rows themselves as pixels. *)
Lemma rows_as_pixels (rows : seq pixel) :
  perm_eq rows [seq tnth (in_tuple rows) i | i <- enum 'I_(size rows)].
Proof. by rewrite map_tnth_enum. Qed.

(** Foreground 26, background 12, foreground 13, step 12: the proximal point is (20, 10, 9), where the
background pixel has overtaken the last foreground pixel. Pooling in the order of x gives (20, 19/2,
19/2), which is refused; here D = 2. *)
Definition overtaking : seq pixel := [:: (true, 26, 20); (false, 12, 10); (true, 13, 9)]%Z.

Example overtaking_accepted : check overtaking 12 = true.
Proof. by vm_compute. Qed.

Example pooled_refused : check [:: (true, 52, 40); (false, 24, 19); (true, 26, 19)]%Z 24 = false.
Proof. by vm_compute. Qed.

Example overtaking_literals :
  check_literals [:: (true, 26, 20); (false, 12, 10); (true, 13, 9)]%literal 12 = true.
Proof. by vm_compute. Qed.

Corollary overtaking_prox :
  is_prox (lovasz (jaccard rat_realFieldType [set i : 'I_3 | i != 1%R])) 12%:R
    (fun i => [:: 26%:R; 12%:R; 13%:R]`_i) (fun i => [:: 20%:R; 10%:R; 9%:R]`_i).
Proof.
have lr := rows_as_pixels overtaking.
have := check_sound (R := rat_realFieldType) (D := 1) lr Z.lt_0_1 overtaking_accepted.
have -> : [set i | foreground (tnth (in_tuple overtaking) i)] = [set i : 'I_3 | i != 1%R].
  by apply/setP => -[[|[|[|]]] lt] //; rewrite !inE.
rewrite (_ : zr _ 12 / zr _ 1 = 12%:R) //; apply: eq_is_prox => -[[|[|[|]]] lt] //.
Qed.
