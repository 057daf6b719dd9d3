/** Short names that Home Assistant takes in discovery payloads, of the options that are checked here. */
export const OPTIONS: Readonly<Record<string, string>> = pairs(`atype:automation_type avty:availability avty_mode:availability_mode
  avty_t:availability_topic avty_tpl:availability_template bri_scl:brightness_scale clr_temp_k:color_temp_kelvin cmd_t:command_topic
  cmd_tpl:command_template cmps:components def_ent_id:default_entity_id dev:device dev_cla:device_class dsp_prc:display_precision e:encoding
  en:enabled_by_default ent_cat:entity_category ent_pic:entity_picture evt_typ:event_types exp_aft:expire_after flsh_tlng:flash_time_long
  flsh_tsht:flash_time_short frc_upd:force_update fx_list:effect_list ic:icon json_attr_t:json_attributes_topic
  json_attr_tpl:json_attributes_template l_ver_t:latest_version_topic l_ver_tpl:latest_version_template lrst_val_tpl:last_reset_value_template
  max_k:max_kelvin max_mirs:max_mireds migr_discvry:migrate_discovery min_k:min_kelvin min_mirs:min_mireds o:origin obj_id:object_id
  off_dly:off_delay ops:options opt:optimistic p:platform pl:payload pl_avail:payload_available pl_inst:payload_install
  pl_not_avail:payload_not_available pl_off:payload_off pl_on:payload_on pl_prs:payload_press rel_s:release_summary rel_u:release_url
  ret:retain stat_cla:state_class stat_off:state_off stat_on:state_on stat_t:state_topic stype:subtype
  sug_dsp_prc:suggested_display_precision sup_clrm:supported_color_modes t:topic tit:title uniq_id:unique_id
  unit_of_meas:unit_of_measurement val_tpl:value_template whit_scl:white_scale`);

export const DEVICE_OPTIONS: Readonly<Record<string, string>> = pairs(`cu:configuration_url cns:connections ids:identifiers mf:manufacturer
  mdl:model mdl_id:model_id hw:hw_version sw:sw_version sa:suggested_area sn:serial_number`);

export const ORIGIN_OPTIONS: Readonly<Record<string, string>> = pairs("sw:sw_version url:support_url");

function pairs(text: string): Record<string, string> {
  return Object.fromEntries(text.split(/\s+/).map((pair) => pair.split(":") as [string, string]));
}
